//! Lines of mountinfo (proc_pid_mountinfo(5)). Lines of another form are left out. Pure.

/// A mount. Paths are as the kernel writes them, with escapes such as `\040` for a blank: see [`unescaped`].
pub(crate) struct Line<'a> {
    /// Its number, which no other mount of the machine has at the same time.
    pub(crate) id: u64,
    /// The device of the file system: `8:1`.
    pub(crate) device: &'a str,
    /// The folder of the file system that is mounted.
    pub(crate) root: &'a str,
    /// The mount point.
    pub(crate) point: &'a str,
    /// The options of the mount.
    options: &'a str,
    /// The peer group in which mounts propagate; `None` for a private mount.
    pub(crate) shared: Option<u64>,
    /// The kind of the file system.
    pub(crate) kind: &'a str,
    /// The device, the remote folder, or any text.
    pub(crate) source: &'a str,
    /// The options of the file system.
    pub(crate) super_options: &'a str,
}

impl Line<'_> {
    /// Whether the mount or its file system is read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        [self.options, self.super_options].iter().any(|all| all.split(',').any(|option| option == "ro"))
    }
}

/// The mounts in this text, in the kernel's order.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().filter_map(line)
}

fn line(line: &str) -> Option<Line<'_>> {
    let (place, system) = line.split_once(" - ")?;
    let words: Vec<&str> = place.split_whitespace().collect();
    let mut system = system.splitn(3, ' ');
    Some(Line {
        id: words.first()?.parse().ok()?,
        device: words.get(2)?,
        root: words.get(3)?,
        point: words.get(4)?,
        options: words.get(5)?,
        shared: words.iter().find_map(|word| word.strip_prefix("shared:")?.parse().ok()),
        kind: system.next()?,
        source: system.next()?,
        super_options: system.next().unwrap_or_default(),
    })
}

/// Escapes blanks and backslashes as the kernel does; the reverse of [`unescaped`].
pub(crate) fn escaped(text: &str) -> String {
    let escape = |text: String, letter: char| match letter {
        ' ' | '\t' | '\n' | '\\' => format!("{text}\\{:03o}", u32::from(letter)),
        letter => text + letter.encode_utf8(&mut [0; 4]),
    };
    text.chars().fold(String::new(), escape)
}

/// Replaces escapes such as `\040` (blank) by their characters.
pub(crate) fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) => {
                plain.push(char::from(code));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_written_and_read_as_the_kernel_does() {
        assert_eq!(
            (escaped("/mnt2 x"), unescaped(&escaped("a\\ b"))),
            (r"/mnt2\040x".to_owned(), "a\\ b".to_owned())
        );
        assert_eq!(unescaped(r"a\\134b\0"), r"a\\b\0");
    }
}

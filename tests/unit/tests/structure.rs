//! Checks of the sources: modules of a crate do not import each other in a cycle, and `Hint` and exit codes name each
//! error variant.
//!
//! A module is a folder or a file directly below `src`; below the CLI's `commands` and the harness's `audit` each
//! submodule counts. An import is a path in the code that begins with `crate` or `super`, also in macros; code for
//! tests only does not count. `cargo nextest run -p unit structure --no-capture` prints the graphs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use rstest::rstest;
use syn::{Attribute, Item};
use walkdir::WalkDir;

/// A module's path below the crate: `["engine", "vagrant"]`.
type Module = Vec<String>;

#[rstest]
#[case::provisioner("provisioner", &[])]
#[case::harness("harness", &["audit"])]
#[case::cli("cli", &["commands"])]
fn modules_import_each_other_in_one_direction_only(#[case] krate: &str, #[case] opened: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates").join(krate).join("src");
    let imports = imports(&source, opened);
    show(krate, &imports);
    assert!(imports.len() > 5, "the sources were not found: {imports:?}");
    assert_eq!(circles(&imports), Vec::<Vec<&str>>::new());
}

#[rstest]
#[case::provisioner("provisioner")]
#[case::harness("harness")]
#[case::cli("cli")]
fn hints_and_exit_codes_name_every_variant_of_an_error(#[case] krate: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates").join(krate).join("src");
    let (mut seen, mut swallowing) = (0, Vec::new());
    for path in files_below(&source, "rs") {
        let file = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
        for item in file.items {
            let Item::Impl(item) = item else { continue };
            let told = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
            if told.is_some_and(|told| told.ident == "Hint" || told.ident == "Ends") {
                seen += 1;
                if swallows(item.to_token_stream()) {
                    swallowing.push(format!("{}: {}", path.display(), item.self_ty.to_token_stream()));
                }
            }
        }
    }
    assert_ne!(seen, 0, "the sources were not found");
    assert_eq!(swallowing, Vec::<String>::new(), "an arm `_ =>` would hide a new variant");
}

/// Whether the code has an arm `_ => …`.
fn swallows(tokens: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_arm = |pair: &[TokenTree]| matches!(pair, [TokenTree::Ident(wild), TokenTree::Punct(arrow)] if wild == "_" && arrow.as_char() == '=');
    let inner = |token: &TokenTree| matches!(token, TokenTree::Group(group) if swallows(group.stream()));
    tokens.windows(2).any(is_arm) || tokens.iter().any(inner)
}

#[test]
fn a_catch_all_arm_is_found_and_a_named_variant_with_placeholders_is_not() {
    let found = |text: &str| swallows(text.parse().unwrap());
    assert!(found("match self { Self::A => None, _ => None }"));
    assert!(found("match self { Self::A(inner) => match inner { B::C => None, _ => Some(1) } }"));
    assert!(!found("match self { Self::A(_) | Self::B { .. } => None, (_, Self::C) => list.map(|_| 1) }"));
}

#[test]
fn a_circle_is_found_however_its_imports_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c; mod d; mod e;");
    write("a.rs", "use crate::b::B;");
    write("b.rs", "use crate::{c::{C, D}, b::x};");
    write("c/mod.rs", "mod inner;");
    write("c/inner.rs", "fn f() { let _ = format!(\"{}\", super::super::a::A); }");
    write("d.rs", "#[cfg(test)] mod tests { use crate::e::E; }");
    write("e.rs", "use crate::d::D; #[cfg(test)] mod tests;");
    write("e/tests.rs", "use crate::a::A;");
    let imports = imports(folder.path(), &[]);
    assert_eq!(circles(&imports), [["a", "b", "c"]]);
    assert_eq!(imports["e"], BTreeSet::from(["d".to_owned()]));
    assert!(!imports.contains_key("d"), "imports of tests are counted");
}

#[expect(clippy::print_stdout, reason = "prints the graph for `--no-capture`")]
fn show(krate: &str, imports: &BTreeMap<String, BTreeSet<String>>) {
    println!("{krate}:");
    for (module, others) in imports {
        println!("  {module} -> {}", others.iter().cloned().collect::<Vec<_>>().join(", "));
    }
}

/// The cycles: groups of modules that import each other directly or indirectly, each sorted.
fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<&str>> {
    let edges = imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from.as_str(), to.as_str())));
    let graph: DiGraphMap<&str, ()> = edges.map(|(from, to)| (from, to, ())).collect();
    let circles = tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    circles
        .map(|mut group| {
            group.sort_unstable();
            group
        })
        .collect()
}

/// The imports of each module within its crate. In the modules of `opened`, each submodule counts as a module.
fn imports(source: &Path, opened: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let files = files_below(source, "rs");
    let parsed: Vec<(Module, Vec<Item>)> = files
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (module_of(path.strip_prefix(source).unwrap()), file.items)
        })
        .collect();
    let for_tests: Vec<Module> = parsed
        .iter()
        .flat_map(|(module, items)| items.iter().filter_map(|item| test_module(module, item)))
        .collect();
    let node = |path: &[String]| {
        let depth = if path.first().is_some_and(|top| opened.contains(&top.as_str())) { 2 } else { 1 };
        path[..path.len().min(depth)].join("::")
    };
    let known: BTreeSet<String> = parsed.iter().map(|(module, _)| node(module)).collect();
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, items) in &parsed {
        if module.is_empty() || for_tests.iter().any(|tests| module.starts_with(tests)) {
            continue;
        }
        let (from, mut paths) = (node(module), Vec::new());
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            scan(item.to_token_stream(), module, &mut paths);
        }
        for to in paths.iter().map(|path| node(path)).filter(|to| *to != from && known.contains(to)) {
            imports.entry(from.clone()).or_default().insert(to);
        }
    }
    imports
}

/// All files below a folder with this extension.
pub(crate) fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

/// `engine/vagrant/mod.rs` and `engine/vagrant.rs` are `engine::vagrant`; `lib.rs` and `main.rs` are the crate itself.
fn module_of(file: &Path) -> Module {
    let mut parts: Module = file.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let last = parts.pop().unwrap();
    let name = last.trim_end_matches(".rs");
    if !["mod", "lib", "main"].contains(&name) {
        parts.push(name.to_owned());
    }
    parts
}

/// The path of a module in a separate file that is compiled for tests only. `None` for other items.
fn test_module(parent: &[String], item: &Item) -> Option<Module> {
    let Item::Mod(module) = item else { return None };
    (module.content.is_none() && is_for_tests(&module.attrs))
        .then(|| parent.iter().cloned().chain([module.ident.to_string()]).collect())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let names_test = |attribute: &Attribute| attribute.meta.to_token_stream().to_string() == "cfg (test)";
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && names_test(attribute))
}

/// Finds all paths that begin with `crate` or `super`, at most two modules deep.
fn scan(tokens: TokenStream, module: &[String], paths: &mut Vec<Module>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_colons = |place: usize| {
        let colon =
            |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(it)) if it.as_char() == ':');
        colon(tokens.get(place)) && colon(tokens.get(place + 1))
    };
    let mut place = 0;
    while place < tokens.len() {
        match &tokens[place] {
            TokenTree::Group(group) => scan(group.stream(), module, paths),
            TokenTree::Ident(word) if word == "crate" && is_colons(place + 1) => {
                spell(&[], &tokens[place + 3..], paths);
            }
            TokenTree::Ident(word) if word == "super" && is_colons(place + 1) => {
                let mut above = module;
                while matches!(&tokens[place], TokenTree::Ident(word) if word == "super")
                    && is_colons(place + 1)
                {
                    above = &above[..above.len().saturating_sub(1)];
                    place += 3;
                }
                spell(above, &tokens[place..], paths);
                continue;
            }
            _ => {}
        }
        place += 1;
    }
}

/// Adds the rest of a path: a name and its continuation, or several of these in braces.
fn spell(above: &[String], rest: &[TokenTree], paths: &mut Vec<Module>) {
    match rest.first() {
        Some(TokenTree::Ident(word)) => {
            let mut path = above.to_vec();
            path.push(word.to_string());
            if path.len() < 2 && matches!(rest.get(1), Some(TokenTree::Punct(it)) if it.as_char() == ':') {
                spell(&path, rest.get(3..).unwrap_or_default(), paths);
            }
            paths.push(path);
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let names: Vec<TokenTree> = group.stream().into_iter().collect();
            for one in names.split(|token| matches!(token, TokenTree::Punct(it) if it.as_char() == ',')) {
                spell(above, one, paths);
            }
        }
        _ => {}
    }
}

//! The documentation agrees with itself and with the tree: links, summary, events, schemas, Rust
//! blocks and the code map.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::structure::files_below;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All pages: those at the root of the repository, and those of the book.
fn pages() -> Vec<PathBuf> {
    let mut pages = files_below(&root().join("docs"), "md");
    pages.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    pages.sort();
    pages
}

/// Where the links and pictures of a page lead: Markdown's, and `src` and `srcset` of HTML.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let values = html.split("src").skip(1).filter_map(|rest| rest.split('"').nth(1));
                links.extend(values.map(str::to_owned));
            }
            _ => {}
        }
    }
    links
}

/// The anchors of a page: its headings, as GitHub and mdBook make anchors of them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|text| slug(&text))),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || "-_".contains(*letter)).collect()
}

#[test]
fn every_link_leads_to_a_file_of_the_repository_and_every_anchor_to_a_heading() {
    let (mut followed, mut broken) = (0, Vec::new());
    for page in pages() {
        let text = read(&page);
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            followed += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let found = target.exists() && (anchor.is_empty() || anchors(&read(&target)).contains(anchor));
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(followed > 50, "the pages were not found");
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_link_in_html_and_one_in_markdown_are_found_and_one_in_code_is_not() {
    let text =
        "[a](b.md#c) `[d](e)`\n\n<img src=\"f.svg\">\n\n```\n[g](h)\n```\n\n| t |\n|---|\n| [i](j) |\n";
    assert_eq!(links(text), ["b.md#c", "f.svg", "j"]);
    assert_eq!(anchors("# What it *does*, and `how`\n"), BTreeSet::from(["what-it-does-and-how".to_owned()]));
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let docs = root().join("docs");
    let listed: BTreeSet<PathBuf> =
        links(&read(docs.join("SUMMARY.md"))).iter().map(|link| docs.join(link)).collect();
    let missing: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.starts_with(&docs) && !page.ends_with("SUMMARY.md") && !listed.contains(page))
        .collect();
    assert_eq!(missing, Vec::<PathBuf>::new());
}

#[test]
fn the_page_of_schemas_lists_every_schema() {
    let docs = root().join("docs");
    let listed: BTreeSet<_> = links(&read(docs.join("reference/schemas.md")))
        .iter()
        .filter_map(|link| link.strip_prefix("../schemas/").map(str::to_owned))
        .collect();
    let there: BTreeSet<_> = fs::read_dir(docs.join("schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed, there);
}

#[test]
fn the_page_of_events_names_every_event_and_no_other() {
    let source = syn::parse_file(&read(root().join("crates/provisioner/src/events/mod.rs"))).unwrap();
    let events: BTreeSet<String> = source
        .items
        .iter()
        .find_map(|item| match item {
            syn::Item::Enum(events) if events.ident == "Event" => Some(events),
            _ => None,
        })
        .expect("the enum of events")
        .variants
        .iter()
        .map(|variant| variant.ident.to_string())
        .collect();
    let page = read(root().join("docs/reference/events.md"));
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let named: BTreeSet<String> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect();
    assert_eq!(named, events);
}

/// The paths in the first column of the code map, each below `crates/` or at the root.
fn mapped() -> Vec<String> {
    let page = read(root().join("ARCHITECTURE.md"));
    let (_, map) = page.split_once("## Code map").expect("ARCHITECTURE.md has a code map");
    let map = map.split("\n## ").next().unwrap();
    map.lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(','))
        .map(|path| path.trim().trim_matches('`').trim_end_matches('/').to_owned())
        .collect()
}

/// Where a path of the code map is: below a crate's `src`, or at the root.
fn place(path: &str) -> PathBuf {
    match path.split_once('/') {
        Some((krate @ ("provisioner" | "harness" | "cli" | "probe"), rest)) => {
            root().join("crates").join(krate).join("src").join(rest)
        }
        None if root().join("crates").join(path).is_dir() => root().join("crates").join(path),
        _ => root().join(path),
    }
}

#[test]
fn the_code_map_leads_to_files_that_exist() {
    let mapped = mapped();
    assert!(mapped.len() > 30, "the code map was not read: {mapped:?}");
    let missing: Vec<_> = mapped.iter().filter(|path| !place(path).exists()).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn the_code_map_leaves_out_no_module_of_the_provisioner() {
    let source = root().join("crates/provisioner/src");
    let mapped: BTreeSet<PathBuf> = mapped().iter().map(|path| place(path)).collect();
    let missing: Vec<String> = fs::read_dir(&source)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("lib.rs"))
        .filter(|path| !mapped.contains(path) && !mapped.contains(&path.with_extension("")))
        .filter(|path| !mapped.contains(&path.with_extension("rs")))
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// The Rust blocks of a page.
fn rust_blocks(text: &str) -> Vec<String> {
    let (mut blocks, mut is_rust) = (Vec::new(), false);
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                is_rust = info.starts_with("rust");
                blocks.extend(is_rust.then(String::new));
            }
            Event::End(TagEnd::CodeBlock) => is_rust = false,
            Event::Text(text) if is_rust => blocks.last_mut().unwrap().push_str(&text),
            _ => {}
        }
    }
    blocks
}

#[test]
fn every_rust_block_is_a_test_that_runs_each_night() {
    let folder = root().join("tests/e2e/tests/e2e/nightly/pages");
    let tests: BTreeSet<String> =
        fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect();
    let shown: BTreeSet<String> = pages().iter().flat_map(|page| rust_blocks(&read(page))).collect();
    assert_eq!(shown, tests);
}

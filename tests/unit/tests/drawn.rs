//! A check of the sources: drawn leaks know nothing of the audit that has to find them.
//!
//! The module `inject::drawn` may use the tools of other injections and the clusters, and nothing else of this crate.
//! Neither may it use the crate of the audit's prober and witness.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::structure::files_below;

/// What drawn leaks may use of their crate. A path that begins with one of these is allowed.
const ALLOWED: [&str; 22] = [
    "audit::inject::InjectError",
    "audit::inject::Pair",
    "audit::inject::access::Access",
    "audit::inject::authority::administrator",
    "audit::inject::authority::publish_again",
    "audit::inject::bind_mount",
    "audit::inject::cable::carries",
    "audit::inject::cable::copy",
    "audit::inject::cable::join",
    "audit::inject::cable::plug",
    "audit::inject::cable::spare",
    "audit::inject::changes",
    "audit::inject::control::api_of",
    "audit::inject::control::close_behind",
    "audit::inject::control::planes",
    "audit::inject::device::loop_device",
    "audit::inject::drawn",
    "audit::inject::router",
    "audit::inject::switch::Switch",
    "cluster",
    // A certificate and a key, without any behaviour.
    "probe::Credentials",
    "undo::Left",
];
/// The crate of the audit's prober and witness.
const PROBER: &str = "probe";
/// The place of the drawn leaks below the crate.
const DRAWN: [&str; 3] = ["audit", "inject", "drawn"];

#[test]
fn drawn_leaks_know_nothing_of_how_a_leak_is_found() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/harness/src");
    let folder = source.join(DRAWN.join("/"));
    let files = files_below(&folder, "rs");
    assert!(files.len() > 8, "the sources were not found: {files:?}");
    let mut forbidden = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let inner = (name != "mod").then_some(name);
        for path in forbidden_in(&text, inner) {
            forbidden.push(format!("{}: {path}", file.strip_prefix(&source).unwrap().display()));
        }
    }
    assert_eq!(forbidden, Vec::<String>::new());
}

#[test]
fn an_import_of_the_detector_is_found_however_it_is_written() {
    let found = |text: &str| forbidden_in(text, Some("wire"));
    assert_eq!(found("use crate::audit::class::ClassId;"), ["audit::class::ClassId"]);
    assert_eq!(found("use super::super::super::judge::judge;"), ["audit::judge::judge"]);
    assert_eq!(
        found("use crate::audit::{cells::Plan, inject::{Pair, Injection}, structure};"),
        ["audit::cells::Plan", "audit::inject::Injection", "audit::structure"]
    );
    assert_eq!(found("fn port() -> u16 { let all = [crate::audit::TCP_PORT]; all[0] }"), ["audit::TCP_PORT"]);
    assert_eq!(
        found("fn f() { println!(\"{}\", super::super::super::sample::two()) }"),
        ["audit::sample::two"]
    );
    assert_eq!(found("use crate::audit::inject::*;"), ["audit::inject::*"]);
    assert_eq!(found("use super::super::class;"), ["audit::inject::class"]);
    assert_eq!(found("use probe::Ask;"), ["probe::Ask"]);
    assert_eq!(found("use crate::audit::inject as all;"), ["audit::inject"]);
    assert_eq!(found("use self::super::super::super::class::Class;"), ["audit::class::Class"]);
}

#[test]
fn the_tools_of_injections_and_words_in_comments_are_no_imports_of_the_detector() {
    let found = |text: &str| forbidden_in(text, Some("wire"));
    let tools = "use super::spot::Inside; use crate::audit::inject::{Pair, changes::{Changes, command}};
        /// See [`crate::audit::class`].
        pub(in crate::audit) struct Shown(pub(in crate::audit) u8);
        fn f() { crate::cluster::TestNode::name(); self::g(); let class = 1; std::fs::read(\"class\"); }";
    assert_eq!(found(tools), Vec::<String>::new());
    assert_eq!(forbidden_in("use super::changes::Changes; mod draw;", None), Vec::<String>::new());
}

/// The paths in a file of the module that are not allowed. `inner` is the file's own module, `None` for `mod.rs`.
fn forbidden_in(text: &str, inner: Option<&str>) -> Vec<String> {
    let module: Vec<String> = DRAWN.into_iter().chain(inner).map(str::to_owned).collect();
    let mut paths = Vec::new();
    scan(text.parse().unwrap(), &module, &mut paths);
    let is_allowed = |path: &String| {
        ALLOWED.iter().any(|allowed| {
            path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
    };
    paths.retain(|path| !is_allowed(path));
    paths
}

/// Finds all paths that begin with `crate`, `self`, `super` or the prober's crate, below the crate.
fn scan(tokens: TokenStream, module: &[String], paths: &mut Vec<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut place = 0;
    while place < tokens.len() {
        match &tokens[place] {
            // `pub(in crate::audit)` says who may use an item, and imports nothing.
            TokenTree::Ident(word) if word == "pub" && is_visibility(tokens.get(place + 1)) => place += 1,
            TokenTree::Group(group) => scan(group.stream(), module, paths),
            TokenTree::Ident(word) if is_colons(&tokens, place + 1) => {
                let mut above = match word.to_string().as_str() {
                    "crate" => Vec::new(),
                    "self" => module.to_vec(),
                    "super" => parent(module),
                    PROBER => vec![PROBER.to_owned()],
                    _ => {
                        place += 1;
                        continue;
                    }
                };
                place += 3;
                while matches!(&tokens[place], TokenTree::Ident(word) if word == "super") {
                    above = parent(&above);
                    place += 3;
                }
                place += spell(above, &tokens[place..], paths);
                continue;
            }
            _ => {}
        }
        place += 1;
    }
}

fn is_visibility(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

fn is_colons(tokens: &[TokenTree], place: usize) -> bool {
    let colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(it)) if it.as_char() == ':');
    colon(tokens.get(place)) && colon(tokens.get(place + 1))
}

/// Adds the rest of a path, or of several in braces. Returns the number of tokens that belong to it.
fn spell(mut path: Vec<String>, rest: &[TokenTree], paths: &mut Vec<String>) -> usize {
    let mut place = 0;
    loop {
        match rest.get(place) {
            Some(TokenTree::Ident(word)) => path.push(word.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => path.push("*".to_owned()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let names: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma =
                    |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
                for one in names.split(is_comma).filter(|one| !one.is_empty()) {
                    spell(path.clone(), one, paths);
                }
                return place + 1;
            }
            _ => {}
        }
        place += 1;
        if !is_colons(rest, place) {
            paths.push(path.join("::"));
            return place;
        }
        place += 2;
    }
}

//! The README's table of tested combinations is the one of the code.

use provisioner::spec::matrix;

/// The page with the table, and the lines around the table.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
const BEGIN: &str = "<!-- matrix -->\n";
const END: &str = "<!-- /matrix -->";

/// `HOMELAB_WRITE_DOCS=1` writes the table to the page.
#[test]
fn the_readme_shows_what_is_tested() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the README has a place for the table");
    let (shown, after) = rest.split_once(END).expect("the place of the table has an end");
    let table = matrix::markdown();
    if std::env::var_os("HOMELAB_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "HOMELAB_WRITE_DOCS=1 writes it");
}

//! The page for operators shows the tested combinations.

use provisioner::request::matrix;

/// The page that shows the table, and between which lines.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");
const BEGIN: &str = "<!-- matrix -->\n";
const END: &str = "<!-- /matrix -->";

/// `HOMELAB_WRITE_DOCS=1` writes the table to the page.
#[test]
fn the_page_for_operators_shows_the_tested_combinations() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the table");
    let (shown, after) = rest.split_once(END).expect("the place of the table has an end");
    let table = matrix::markdown();
    if std::env::var_os("HOMELAB_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "HOMELAB_WRITE_DOCS=1 writes it");
}

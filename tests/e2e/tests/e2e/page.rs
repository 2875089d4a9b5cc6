//! The audit's HTML report in a real browser: readable in light and dark, narrow and printed, operable by keyboard, and
//! without requests. Needs the packages chromium and chromium-driver, and no cluster. Screenshots are left in
//! `target/tmp/audit-page`.

mod browser;

use anyhow::{Context, ensure};
use camino::Utf8PathBuf;
use harness::audit::{Report, Verdict};
use thirtyfour::Key;

use browser::Browser;

/// The report of a run with three instances, a leak, lost controls, and classes that were not covered.
const LARGE: &str = include_str!(
    "../../../../crates/harness/src/audit/report/snapshots/harness__audit__report__tests__large.snap.json"
);

/// Writes the page of that report to disk, and returns its path and the report.
fn page() -> anyhow::Result<(Utf8PathBuf, Report)> {
    let folder = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("audit-page");
    std::fs::create_dir_all(&folder)?;
    let report = Report::from_json(LARGE)?;
    let path = folder.join(format!("{}.html", std::process::id()));
    std::fs::write(&path, report.html()?)?;
    Ok((path, report))
}

/// Opens the page in a browser and runs `work`.
async fn with_page(
    work: impl AsyncFnOnce(&Browser, &Report, &Utf8PathBuf) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (path, report) = page()?;
    let outcome = Browser::with(async |browser| {
        browser.open(&path).await?;
        work(browser, &report, &path).await
    });
    let outcome = outcome.await;
    std::fs::remove_file(&path)?;
    outcome
}

/// A script that lists texts whose contrast with their background is below 4.5 to 1 (WCAG 2.2, 1.4.3), each once.
const PALE: &str = r"
    const numbers = colour => colour.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
      return .2126 * x + .7152 * y + .0722 * z;
    };
    const behind = element => {
      for (; element; element = element.parentElement) {
        const colour = numbers(getComputedStyle(element).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
      }
      return [255, 255, 255];
    };
    const pale = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (texts.nextNode()) {
      const element = texts.currentNode.parentElement;
      if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
      seen += 1;
      const [a, b] = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
      const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      if (ratio < 4.5) pale.add(`${texts.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return { seen, pale: [...pale] };";

#[tokio::test]
async fn the_page_is_legible_in_both_schemes_on_a_narrow_window_and_on_paper_and_fetches_nothing()
-> anyhow::Result<()> {
    with_page(async |browser, _, path| {
        let folder = path.parent().context("a folder")?;
        let mut papers = Vec::new();
        for (name, medium, scheme, width, height) in [
            ("light", "screen", "light", 1200, 1600),
            ("dark", "screen", "dark", 1200, 1600),
            ("narrow", "screen", "light", 360, 1600),
            ("narrow-dark", "screen", "dark", 360, 1600),
            ("print", "print", "light", 800, 1600),
        ] {
            browser.emulate(medium, scheme).await?;
            browser.resize(width, height).await?;
            browser.run("document.querySelectorAll('details').forEach(it => it.open = true)").await?;
            let found = browser.run(PALE).await?;
            ensure!(found["seen"].as_u64() > Some(100), "{name}: the page has too little text: {found}");
            ensure!(
                found["pale"].as_array().is_some_and(Vec::is_empty),
                "{name}: texts with too little contrast: {found}"
            );
            let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            ensure!(browser.run(wide).await? == 0, "{name}: the page is wider than its window");
            let fails =
                "document.querySelectorAll('details').forEach(it => it.open = it.dataset.verdict == 'leak')";
            browser.run(fails).await?;
            papers.push(browser.run("return getComputedStyle(document.body).backgroundColor").await?);
            browser.picture(&folder.join(format!("{name}.png"))).await?;
        }
        ensure!(papers[0] != papers[1], "light and dark look the same: {papers:?}");
        let printed = browser.print().await?;
        std::fs::write(folder.join("print.pdf"), &printed)?;
        ensure!(printed.starts_with(b"%PDF-"), "nothing is printed");
        let complaints = browser.complaints().await?;
        ensure!(complaints.is_empty(), "the browser's console has messages: {complaints:?}");
        let requests = browser.requests().await?;
        ensure!(requests == [format!("file://{path}")], "the page makes requests: {requests:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_keyboard_reaches_every_evidence_and_opens_it() -> anyhow::Result<()> {
    with_page(async |browser, _, _| {
        browser.run("document.querySelectorAll('details').forEach(it => it.open = false)").await?;
        let all = browser.run("return document.querySelectorAll('summary').length").await?;
        let all = all.as_u64().context("a number")?;
        ensure!(all > 20, "the page has only {all} elements to open");
        let mut opened = 0;
        loop {
            browser.press(Key::Tab).await?;
            let focused =
                "const it = document.activeElement; return it.tagName + ' ' + it.parentElement?.open";
            match browser.run(focused).await?.as_str().context("a text")? {
                "SUMMARY false" => {
                    browser.press(if opened % 2 == 0 { Key::Enter } else { Key::Space }).await?;
                    let found = browser.run(focused).await?;
                    ensure!(found == "SUMMARY true", "the {opened}th does not open: {found}");
                    opened += 1;
                }
                "SUMMARY true" => anyhow::bail!("the focus came back after {opened} of {all}"),
                body if body.starts_with("BODY") => break,
                _ => {} // links, fields, and elements that scroll
            }
        }
        ensure!(opened == all, "the keyboard reaches {opened} of {all}");
        let visible = "return [...document.querySelectorAll('.probes td')].every(it => it.checkVisibility())";
        ensure!(browser.run(visible).await? == true, "some evidence stays hidden");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_click_opens_evidence_and_the_filter_leaves_what_was_chosen() -> anyhow::Result<()> {
    with_page(async |browser, report, _| {
        browser.run("document.querySelectorAll('details').forEach(it => it.open = false)").await?;
        let shown = async |selector: &str| {
            let count = format!(
                "return [...document.querySelectorAll('{selector}')].filter(it => it.checkVisibility()).length"
            );
            anyhow::Ok(browser.run(&count).await?.as_u64().context("a number")?)
        };
        ensure!(shown(".probes").await? == 0, "evidence is open from the start");
        browser.click(".group[data-verdict=leak] > summary").await?;
        browser.click(".group[open] details > summary").await?;
        ensure!(shown(".probes").await? > 0, "a click does not open the evidence");

        let groups = report.groups();
        let leaks = groups.iter().filter(|group| group.verdict() == Verdict::Leak).count() as u64;
        let of_n8 = groups.iter().filter(|group| group.class.to_string() == "N8").count() as u64;
        ensure!(shown(".group").await? == groups.len() as u64, "the page is filtered from the start");
        browser.click("label[for=only-leak]").await?;
        ensure!(shown(".group").await? == leaks, "not only leaks are left");
        ensure!(shown(".pair").await? == 1, "pairs without a leak are still there");
        browser.click("label[for=only-all]").await?;
        browser.click("#class option[value=N8]").await?;
        ensure!(shown(".group").await? == of_n8 && of_n8 > leaks, "not only N8 is left");
        Ok(())
    })
    .await
}

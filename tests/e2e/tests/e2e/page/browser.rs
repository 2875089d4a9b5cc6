//! Chromium, driven by its own driver and with nothing to fetch: both go when the work is done.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::Context;
use camino::Utf8Path;
use harness::wait::{self, Wait};
use provisioner::exec::{Background, Command};
use provisioner::slowdown::Slowdown;
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, LoggingPrefsLogLevel};

/// A browser without a window, without services of its own and without a sandbox, which root has none of.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with a profile of its own.
pub(super) struct Browser {
    driver: WebDriver,
}

impl Browser {
    /// Does something with a browser, and ends it whatever came of the work.
    pub(super) async fn with(work: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let profile = tempfile::tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let start = Command::within(Duration::MAX, "chromedriver").arg(format!("--port={port}"));
        let process = Background::start(&start).context("package chromium-driver is installed")?;
        let within = Slowdown::of_host().stretch(Duration::from_secs(30));
        let driver = wait::until("a browser".to_owned(), within, async || {
            let made =
                WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities(profile.path())?).await;
            Ok::<_, WebDriverError>(match made {
                Ok(driver) => Wait::Done(driver),
                Err(error) => Wait::NotYet(error.to_string()),
            })
        });
        let outcome = async {
            let browser = Self { driver: driver.await? };
            let outcome = work(&browser).await;
            outcome.and(browser.driver.quit().await.map_err(Into::into))
        }
        .await;
        process.stop().await;
        outcome
    }

    /// Opens a file. What the browser has shown and asked for until then is forgotten: it begins with a page of its own.
    pub(super) async fn open(&self, path: &Utf8Path) -> anyhow::Result<()> {
        self.driver.goto("about:blank").await?;
        self.complaints().await?;
        self.requests().await?;
        Ok(self.driver.goto(format!("file://{path}")).await?)
    }

    /// What a script returns, as of the body of a function.
    pub(super) async fn run(&self, script: &str) -> anyhow::Result<Value> {
        let returned = self.driver.execute(script, Vec::new()).await?;
        Ok(returned.json().clone())
    }

    /// Presses a key, where the focus is.
    pub(super) async fn press(&self, key: Key) -> anyhow::Result<()> {
        Ok(self.driver.action_chain().send_keys(key).perform().await?)
    }

    /// Clicks on the first element of a selector.
    pub(super) async fn click(&self, selector: &str) -> anyhow::Result<()> {
        Ok(self.driver.find(By::Css(selector)).await?.click().await?)
    }

    /// Shows the page as a reader with this colour scheme has it, on this medium: `screen` or `print`.
    pub(super) async fn emulate(&self, medium: &str, scheme: &str) -> anyhow::Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "media": medium, "features": features });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// Makes the window this large, in CSS pixels.
    pub(super) async fn resize(&self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// A picture of the window.
    pub(super) async fn picture(&self, path: &Utf8Path) -> anyhow::Result<()> {
        Ok(std::fs::write(path, self.driver.screenshot_as_png().await?)?)
    }

    /// What comes out of a printer, as PDF.
    pub(super) async fn print(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.driver.print_page(Default::default()).await?)
    }

    /// What the browser has complained about since it was last asked.
    pub(super) async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.driver.browser_log().await?.into_iter().map(|entry| entry.message).collect())
    }

    /// The addresses that the browser has asked for since it was last asked.
    pub(super) async fn requests(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.driver.get_log("performance").await?;
        let url = |text: &str| {
            let entry: Value = serde_json::from_str(text).ok()?;
            let sent = entry.pointer("/message/method")? == "Network.requestWillBeSent";
            let url = entry.pointer("/message/params/request/url")?.as_str()?.to_owned();
            sent.then_some(url)
        };
        Ok(entries.iter().filter_map(|entry| url(&entry.message)).collect())
    }
}

fn capabilities(profile: &std::path::Path) -> WebDriverResult<ChromeCapabilities> {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary("/usr/bin/chromium")?;
    for argument in ARGUMENTS {
        capabilities.add_arg(argument)?;
    }
    capabilities.add_arg(&format!("--user-data-dir={}", profile.display()))?;
    capabilities.set_logging_prefs("browser".to_owned(), LoggingPrefsLogLevel::All)?;
    capabilities.set_logging_prefs("performance".to_owned(), LoggingPrefsLogLevel::All)?;
    Ok(capabilities)
}

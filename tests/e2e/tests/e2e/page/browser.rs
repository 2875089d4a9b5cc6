//! Chromium, driven by chromedriver. Both end after the work.

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

/// Headless, without background services, and without a sandbox, because Chromium's sandbox does not work as root.
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

/// A browser with a temporary profile.
pub(super) struct Browser {
    driver: WebDriver,
}

impl Browser {
    /// Runs `work` with a browser, and ends the browser whatever the result.
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

    /// Opens a file. First forgets console messages and requests of earlier pages, such as the browser's start page.
    pub(super) async fn open(&self, path: &Utf8Path) -> anyhow::Result<()> {
        self.driver.goto("about:blank").await?;
        self.complaints().await?;
        self.requests().await?;
        Ok(self.driver.goto(format!("file://{path}")).await?)
    }

    /// Runs a script as the body of a function, and returns its value.
    pub(super) async fn run(&self, script: &str) -> anyhow::Result<Value> {
        let returned = self.driver.execute(script, Vec::new()).await?;
        Ok(returned.json().clone())
    }

    /// Presses a key on the focused element.
    pub(super) async fn press(&self, key: Key) -> anyhow::Result<()> {
        Ok(self.driver.action_chain().send_keys(key).perform().await?)
    }

    /// Clicks on the first element that matches a selector.
    pub(super) async fn click(&self, selector: &str) -> anyhow::Result<()> {
        Ok(self.driver.find(By::Css(selector)).await?.click().await?)
    }

    /// Emulates a medium (`screen` or `print`) and a colour scheme (`light` or `dark`).
    pub(super) async fn emulate(&self, medium: &str, scheme: &str) -> anyhow::Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = json!({ "media": medium, "features": features });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await?;
        Ok(())
    }

    /// Resizes the window, in CSS pixels.
    pub(super) async fn resize(&self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Saves a screenshot of the window.
    pub(super) async fn picture(&self, path: &Utf8Path) -> anyhow::Result<()> {
        Ok(std::fs::write(path, self.driver.screenshot_as_png().await?)?)
    }

    /// The printed page, as PDF.
    pub(super) async fn print(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.driver.print_page(Default::default()).await?)
    }

    /// Console messages since the last call.
    pub(super) async fn complaints(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.driver.browser_log().await?.into_iter().map(|entry| entry.message).collect())
    }

    /// URLs that the browser has requested since the last call.
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

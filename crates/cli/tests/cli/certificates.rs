//! Certificates: made, issued, listed and refused.

use crate::desk::{Desk, FILTERS};

#[tokio::test]
async fn an_authority_is_made_issues_below_its_suffix_only_and_is_listed() {
    let desk = Desk::with_three();
    let session = desk
        .session(&[
            "tls list",
            "tls init --instance acme",
            "tls init --instance acme",
            "tls issue --instance acme app.acme.lab *.shop.acme.lab",
            "tls issue --instance acme app.globex.lab acme.lab.evil 10.0.0.1 --days 9",
            "tls issue --instance globex app.globex.lab",
            "tls list --instance acme",
            "tls list --instance initech",
        ])
        .await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(session) });
}

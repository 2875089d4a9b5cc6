//! Proofs that a path is open, by socat on the nodes: a token has to arrive.

use std::net::Ipv4Addr;

use provisioner::exec::Command;

use super::spot::Inside;
use crate::audit::inject::InjectError;
use crate::cluster::TestNode;

/// Serves the token `$0` once at the TCP port `$1` of the address `$2`. Says `taken` if it cannot.
const SERVE: &str = "echo \"$0\" | timeout 4 socat -u - \"TCP4-LISTEN:$1,bind=$2,reuseaddr\" 2>&1 | \
                     grep --quiet 'in use' && echo taken; true";
/// Connects to `$1` until the token `$0` comes back.
const CALL: &str = "for try in 1 2 3; do got=$(timeout 2 socat -u -T 1 \"$1\" - 2>/dev/null); \
                    test \"$got\" = \"$0\" && echo \"$got\" && break; sleep 0.3; done; true";
/// Prints the token `$0` when a frame with it is on link `$1`.
const HEAR: &str = "timeout 3 socat -u \"INTERFACE:$1\" - 2>/dev/null | grep --text --only-matching \
                    --max-count=1 \"$0\"; true";
/// Sends the bytes `$0`, with octal escapes, several times to `$1`.
const SEND: &str =
    "for try in 1 2 3 4 5; do printf %b \"$0\" | socat -u - \"$1\" 2>/dev/null; sleep 0.4; done; true";

/// A token of 16 hex digits.
pub(super) fn token() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Whether a token that a process serves at an address and TCP port of `to` comes back at `from`, from the socat address
/// `at`.
pub(super) async fn comes_back(
    from: &Inside,
    at: &str,
    (to, (address, port)): (&Inside, (Ipv4Addr, u16)),
) -> Result<Option<String>, InjectError> {
    let token = token();
    let serve = to.script(SERVE, &[&token, &port.to_string(), &address.to_string()]);
    let call = from.script(CALL, &[&token, at]);
    let (served, called) = both(&to.node, &serve, &from.node, &call).await?;
    if served.trim() == "taken" {
        return Err(InjectError::Missing { what: "a free port", cluster: to.node.name().to_owned() });
    }
    Ok((called.trim() == token).then(|| {
        let (here, there) = (from.node.name(), to.node.name());
        format!("{here} got a token by {at} that {there} serves at TCP {address}:{port}")
    }))
}

/// A message for [`arrives`]: a token in a line of its own, after these bytes.
pub(super) struct Message<'a> {
    pub(super) header: &'a [u8],
    /// The socat address to which it is sent: `UDP4-SENDTO:192.168.61.10:53`.
    pub(super) to: String,
}

/// Whether a message from `from` is on the link `link` of `to`.
pub(super) async fn arrives(
    from: &Inside,
    message: &Message<'_>,
    (to, link): (&Inside, &str),
) -> Result<Option<String>, InjectError> {
    let token = token();
    let header: String = message.header.iter().map(|byte| format!("\\0{byte:03o}")).collect();
    let padding = ".".repeat(40); // a frame has at least 60 bytes
    let text = format!("{header}\\n{token}\\n{padding}");
    let hear = to.script(HEAR, &[&token, link]);
    let send = from.script(SEND, &[&text, &message.to]);
    let (heard, _) = both(&to.node, &hear, &from.node, &send).await?;
    Ok((heard.trim() == token).then(|| {
        let at = &message.to;
        format!("{} sent a token to {at}, and it was on {link} of {}", from.node.name(), to.node.name())
    }))
}

async fn both(
    first: &TestNode,
    there: &Command,
    second: &TestNode,
    here: &Command,
) -> Result<(String, String), InjectError> {
    let (there, here) = futures::join!(first.run(there), second.run(here));
    Ok((there?.text(), here?.text()))
}

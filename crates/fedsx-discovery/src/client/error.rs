//! Why a request came to no answer.

use std::net::IpAddr;
use std::time::Duration;

use super::Unsigned;

/// Why no whole answer came.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransportError {
    /// The URL itself may not be dialled.
    #[error("`{url}` is not dialled: {reason}")]
    ForbiddenUrl {
        /// The URL, cut to 200 characters.
        url: String,
        /// The rule.
        reason: &'static str,
    },
    /// The host's address may not be dialled.
    #[error("`{host}` is not dialled: {address} is {range}")]
    ForbiddenAddress {
        /// The host as written.
        host: String,
        /// The address it is or resolves to.
        address: IpAddr,
        /// The name of the address range.
        range: &'static str,
    },
    /// The host's name does not resolve.
    #[error("the name of the host does not resolve: {0}")]
    Dns(String),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// No TLS session, or a certificate that is not trusted.
    #[error("no TLS session: {0}")]
    Tls(String),
    /// No whole answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection broke before the answer was whole.
    #[error("the connection broke before the answer was whole: {0}")]
    Broken(String),
    /// The answer is larger than the request allows.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Redirects that lead nowhere.
    #[error("redirected wrongly: {0}")]
    Redirect(&'static str),
    /// The request can't be signed, which is a fault on this side; nothing was sent.
    #[error("the request can't be signed: {0}")]
    Unsigned(#[from] Unsigned),
    /// No free place here to send it from; nothing was sent.
    #[error("no free place to send from, try again after {retry_after_s} s")]
    Busy {
        /// When another try makes sense.
        retry_after_s: u32,
    },
}

impl TransportError {
    /// Whether the failure is the host's, so that anything else sent to it now would fail as well
    /// (design, section 9.2: the whole lane backs off).
    #[must_use]
    pub fn is_host_failure(&self) -> bool {
        match self {
            Self::ForbiddenAddress { .. }
            | Self::Dns(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Timeout(_)
            | Self::Broken(_) => true,
            Self::ForbiddenUrl { .. }
            | Self::TooLarge(_)
            | Self::Redirect(_)
            | Self::Unsigned(_)
            | Self::Busy { .. } => false,
        }
    }

    /// Whether the guard refused to send at all.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::ForbiddenUrl { .. } | Self::ForbiddenAddress { .. }
        )
    }
}

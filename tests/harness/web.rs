//! HTTP from outside, one request at a time.

use fedsx_core::http_signature::SignedHeaders;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use serde_json::Value;

use super::PATIENCE;

/// The media type of ActivityStreams documents.
pub(crate) const AS2: &str = "application/activity+json";

/// A client of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    base: String,
    headers: HeaderMap,
    client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Web {
    pub(crate) fn new(base: String) -> Self {
        Self::with(base, HeaderMap::new())
    }

    /// The same instance, as a proxy asks it on that client's behalf.
    pub(crate) fn forwarded_for(self, client: &str) -> Self {
        self.with_header("x-forwarded-for", client)
    }

    /// The same instance, asked with a further header each time.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header");
        self.headers.insert(HeaderName::from_static(name), value);
        Self::with(self.base, self.headers)
    }

    fn with(base: String, headers: HeaderMap) -> Self {
        let client = reqwest::Client::builder()
            .default_headers(headers.clone())
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        Self {
            base,
            headers,
            client: client.expect("a client"),
        }
    }

    /// GET, as one who reads ActivityStreams.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_as(path, AS2).await
    }

    /// GET with an `Accept` of one's own.
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = self.client.get(self.url(path)).header(ACCEPT, accept);
        read(request).await.expect("an answer")
    }

    /// GET; `None` when nobody answers.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Answer> {
        read(self.client.get(self.url(path))).await
    }

    /// GET of what the caller may have already.
    pub(crate) async fn get_unless(&self, path: &str, accept: &str, etag: &str) -> Answer {
        let request = self.client.get(self.url(path)).header(ACCEPT, accept);
        read(request.header(IF_NONE_MATCH, etag))
            .await
            .expect("an answer")
    }

    /// GET, as one who reads ActivityStreams, signed.
    pub(crate) async fn get_signed(&self, path: &str, signed: SignedHeaders) -> Answer {
        let mut headers = HeaderMap::new();
        signed.insert_into(&mut headers);
        let request = self.client.get(self.url(path)).header(ACCEPT, AS2);
        read(request.headers(headers)).await.expect("an answer")
    }

    /// POST of an ActivityStreams document.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.post_as(path, Some(AS2), body).await
    }

    /// POST with a media type of one's own, or none.
    pub(crate) async fn post_as(
        &self,
        path: &str,
        media_type: Option<&str>,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = self.client.post(self.url(path)).body(body.into());
        if let Some(media_type) = media_type {
            request = request.header(CONTENT_TYPE, media_type);
        }
        read(request).await.expect("an answer")
    }

    /// POST of an ActivityStreams document, signed.
    pub(crate) async fn post_signed(
        &self,
        path: &str,
        signed: SignedHeaders,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(AS2));
        signed.insert_into(&mut headers);
        let request = self.client.post(self.url(path)).headers(headers);
        read(request.body(body.into())).await.expect("an answer")
    }

    /// A path of the instance, or a whole URL, as a URL.
    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Option<Answer> {
    let answer = request.send().await.ok()?;
    Some(Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.ok()?.to_vec(),
    })
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("no JSON ({error}): {}", self.text()),
        }
    }

    /// The JSON of an answer that must be 200 and of that media type.
    #[track_caller]
    pub(crate) fn ok(&self, media_type: &str) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let given = self.header(CONTENT_TYPE.as_str());
        let given = given.split(';').next().unwrap_or_default();
        assert_eq!(given, media_type, "{}", self.text());
        self.json()
    }

    /// The Tombstone of an answer that must be 410.
    #[track_caller]
    pub(crate) fn gone(&self) -> Value {
        assert_eq!(self.status, 410, "{}", self.text());
        let left = self.json();
        assert_eq!(left["type"], "Tombstone", "{left}");
        left
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// It must be a refusal: problem details with that status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{text}");
        assert_eq!(problem["status"], status, "{text}");
        for said in ["type", "title", "detail", "requestId"] {
            let said = problem[said].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{text}");
        }
    }

    /// It must be 202, with what became of the delivery.
    #[track_caller]
    pub(crate) fn taken(&self, status: &str) {
        assert_eq!(self.status, 202, "{}", self.text());
        assert_eq!(self.json()["status"], status, "{}", self.text());
    }
}

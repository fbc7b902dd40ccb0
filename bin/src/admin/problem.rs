//! [`Problem`]: why a request is not answered with what it asked for, as JSON.

use axum::Json;
use axum::http::header::{ALLOW, CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::config::rules::{Kind, Wrong};

/// A status, what is wrong, and where in the request.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) body: Body,
    pub(super) kind: Kind,
    /// For 405: what is allowed.
    allow: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Body {
    pub(super) error: String,
    /// Which part of the request: `rules[2].cidr[0]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, what: impl std::fmt::Display) -> Self {
        let body = Body { error: what.to_string(), field: None, line: None, column: None };
        Self { status, body, kind: Kind::Other, allow: "" }
    }

    /// 405.
    pub(super) fn not_allowed(allow: &'static str) -> Self {
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, format_args!("only {allow}")) }
    }

    /// 400: not JSON, or not of the shape that is asked for.
    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, error);
        if error.line() > 0 {
            (problem.body.line, problem.body.column) = (Some(error.line()), Some(error.column()));
        }
        problem
    }

    /// 404.
    pub(super) fn no_connection(id: u64) -> Self {
        let what = format_args!("there is no connection {id}; it may have ended. GET /api/v1/connections lists them");
        Self::new(StatusCode::NOT_FOUND, what)
    }
}

impl From<Wrong> for Problem {
    /// 422: of the right shape, and wrong all the same.
    fn from(wrong: Wrong) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, &wrong.what);
        problem.body.field = Some(wrong.field()).filter(|field| !field.is_empty());
        problem.kind = wrong.kind;
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static(self.allow));
            }
            // What was announced is not read.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNAUTHORIZED | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

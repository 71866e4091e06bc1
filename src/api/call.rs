//! A call: the name in its path, its query and its body, read as strictly as the configuration file.

use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, Path};
use hyper::http::request::Parts;

use super::problem::{Code, Problem};

/// What stands in the path where the route has a name.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(name) = parts.extract::<Path<String>>().await.map_err(|_| Code::NotText)?;
        Ok(Named(name))
    }
}

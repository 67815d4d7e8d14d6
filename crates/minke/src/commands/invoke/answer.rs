//! What a function answered: its body to standard output as it comes, or a refusal to standard error.

use http::Response;
use http_body_util::BodyExt;
use provider::Body;

use crate::error::Failure;
use crate::printer;

/// Most of a refusal's body that is shown.
const REFUSAL_MAX: usize = 64 * 1024;

pub async fn show(response: Response<Body>, later: bool) -> Result<(), Failure> {
    let (parts, mut body) = response.into_parts();
    if !parts.status.is_success() {
        let text = refusal(body).await;
        let status = parts.status.as_u16();
        return Err(Failure::general(format_args!(
            "Server returned unexpected status code: {status} - {text}"
        )));
    }
    if later {
        let id = parts.headers.get("x-call-id").and_then(|id| id.to_str().ok());
        let id = id.map(|id| format!(" Call id: {id}")).unwrap_or_default();
        printer::tell(format_args!("Function submitted asynchronously.{id}"));
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::general(format_args!("the answer broke off: {error}")))?;
        if let Ok(data) = frame.into_data() {
            printer::bytes(&data)?;
        }
    }
    Ok(())
}

async fn refusal(mut body: Body) -> String {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            text.extend_from_slice(&data);
        }
        if text.len() > REFUSAL_MAX {
            text.truncate(REFUSAL_MAX);
            break;
        }
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

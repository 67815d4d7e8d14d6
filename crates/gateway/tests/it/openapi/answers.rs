//! What may come back, apart from what was asked for.

use serde_json::{Map, Value, json};

/// Status, name in the document, and what it means; the body is text.
const REFUSALS: &[(u16, &str, &str)] = &[
    (400, "Invalid", "Something in the request is not valid; the text tells what."),
    (401, "Unauthorized", "The credentials are missing or wrong."),
    (404, "NotFound", "It is not there."),
    (408, "TooSlow", "The body did not come in time."),
    (409, "Exists", "It is there already, or is in use; the text tells which."),
    (413, "TooLarge", "The body is larger than this call takes."),
    (422, "Unprocessable", "A value is well-formed, and yet not what it must be."),
    (429, "Overloaded", "Too many calls at once, or too often."),
    (500, "Failed", "The provider failed; the text tells at what."),
    (501, "Unsupported", "The provider cannot do this."),
    (502, "Unreachable", "The provider, or the function, cannot be reached."),
    (503, "NoEndpoints", "The function has no replica, and none came up in time."),
    (504, "TimedOut", "The function did not answer in time."),
];

pub fn all() -> Value {
    let named = REFUSALS.iter().map(|(status, name, meaning)| {
        let mut answer = json!({
            "description": meaning,
            "content": { "text/plain": { "schema": { "type": "string" } } },
        });
        match status {
            401 => {
                answer["headers"] = json!({
                    "WWW-Authenticate": { "required": true, "schema": { "const": "Basic realm=\"Restricted\"" } },
                });
            }
            429 => {
                answer["headers"] = json!({
                    "Retry-After": { "required": true, "description": "Seconds.",
                        "schema": { "type": "integer", "minimum": 1 } },
                });
            }
            // Where a status was asked for, clients expect no text.
            404 => drop(answer.as_object_mut().expect("an object").remove("content")),
            _ => {}
        }
        ((*name).to_owned(), answer)
    });
    let mut all: Map<String, Value> = named.collect();
    all.insert(
        "Moved".into(),
        json!({
            "description": "The path had empty, `.` or `..` segments; the one without is told.",
            "headers": { "Location": { "required": true, "schema": { "type": "string" } } },
        }),
    );
    all.insert(
        "Answered".into(),
        json!({
            "description": "The function's own answer, whatever it is.",
            "headers": {
                "X-Call-Id": { "required": true, "description": "The caller's, or a new one.",
                    "schema": { "type": "string" } },
                "X-Start-Time": { "required": true, "description": "Nanoseconds since 1970, UTC.",
                    "schema": { "type": "string" } },
                "X-Served-By": { "required": true,
                    "description": "The gateway and its version, unless the function says otherwise.",
                    "schema": { "type": "string" } },
            },
        }),
    );
    Value::Object(all)
}

/// These statuses, as an operation refers to them.
pub fn refusals(statuses: &[u16]) -> impl Iterator<Item = (String, Value)> {
    let named = |status: u16| match status {
        301 | 308 => "Moved",
        _ => REFUSALS
            .iter()
            .find(|(known, ..)| *known == status)
            .map_or_else(|| panic!("{status}"), |row| row.1),
    };
    statuses.iter().map(move |status| {
        (status.to_string(), json!({ "$ref": format!("#/components/responses/{}", named(*status)) }))
    })
}

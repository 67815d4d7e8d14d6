//! The table of routes, as the document tells them.

use serde_json::{Map, Value, json};

use super::answers::refusals;
use super::schemas::{NAME, NAME_IF_ANY};

pub struct Operation {
    pub path: &'static str,
    pub method: &'static str,
    id: String,
    tag: &'static str,
    summary: &'static str,
    open: bool,
    parameters: Vec<Value>,
    body: Option<(&'static str, bool)>,
    answers: Map<String, Value>,
}

impl Operation {
    fn new(
        method: &'static str,
        path: &'static str,
        id: &str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        let parameters = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let parameters = parameters.map(|(name, _)| in_path(name)).collect();
        let (body, answers) = (None, Map::new());
        Self { path, method, id: id.into(), tag, summary, open: false, parameters, body, answers }
    }

    fn open(mut self) -> Self {
        self.open = true;
        self
    }

    fn query(mut self, parameters: &[Value]) -> Self {
        self.parameters.extend_from_slice(parameters);
        self
    }

    fn body(mut self, schema: &'static str) -> Self {
        self.body = Some((schema, true));
        self
    }

    fn body_if_any(mut self, schema: &'static str) -> Self {
        self.body = Some((schema, false));
        self
    }

    /// Answered with this status, and nothing in it.
    fn empty(mut self, status: u16, meaning: &str) -> Self {
        self.answers.insert(status.to_string(), json!({ "description": meaning }));
        self
    }

    fn gives(mut self, meaning: &str, kind: &str, schema: Value) -> Self {
        let answer = json!({ "description": meaning, "content": { kind: { "schema": schema } } });
        self.answers.insert("200".into(), answer);
        self
    }

    fn refused(mut self, statuses: &[u16]) -> Self {
        self.answers.extend(refusals(statuses));
        self
    }

    pub fn described(&self) -> Value {
        let mut described = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self.answers,
        });
        if self.open {
            described["security"] = json!([]);
        }
        if !self.parameters.is_empty() {
            described["parameters"] = json!(self.parameters);
        }
        if let Some((schema, required)) = self.body {
            let schema = reference(schema);
            described["requestBody"] =
                json!({ "required": required, "content": { "application/json": { "schema": schema } } });
        }
        described
    }
}

pub fn operations() -> Vec<Operation> {
    [functions(), secrets(), namespaces(), rest(), calls()].into_iter().flatten().collect()
}

fn functions() -> Vec<Operation> {
    let of = |method, id, summary| {
        Operation::new(method, "/system/functions", id, "functions", summary).query(&[namespace()])
    };
    vec![
        of("get", "listFunctions", "The functions of a namespace.")
            .gives("The functions.", "application/json", list("FunctionStatus"))
            .refused(&[400, 401, 500, 501, 502]),
        of("post", "createFunction", "Deploys a function that is not there.")
            .body("FunctionDeployment")
            .empty(202, "It is wished for, and comes up.")
            .refused(&[400, 401, 408, 409, 413, 500, 501, 502]),
        of("put", "updateFunction", "Replaces what is wished for of a function.")
            .body("FunctionDeployment")
            .empty(202, "It is wished for; the old replicas serve until the new ones do.")
            .refused(&[400, 401, 404, 408, 413, 500, 501, 502]),
        of("delete", "deleteFunction", "Removes a function.")
            .body("DeleteFunctionRequest")
            .empty(202, "It is removed.")
            .refused(&[400, 401, 404, 408, 413, 500, 501, 502]),
        Operation::new("get", "/system/function/{name}", "getFunction", "functions", "One function.")
            .query(&[namespace(), usage()])
            .gives("The function.", "application/json", reference("FunctionStatus"))
            .refused(&[301, 400, 401, 404, 500, 501, 502]),
        Operation::new(
            "post",
            "/system/scale-function/{name}",
            "scaleFunction",
            "functions",
            "Sets how many replicas a function has; 0 stops it until it is called.",
        )
        .query(&[namespace()])
        .body("ScaleServiceRequest")
        .empty(202, "It is wished for.")
        .refused(&[308, 400, 401, 404, 408, 413, 500, 501, 502]),
    ]
}

fn secrets() -> Vec<Operation> {
    let of = |method, id, summary| {
        Operation::new(method, "/system/secrets", id, "secrets", summary).query(&[namespace()])
    };
    let change = |method, id, summary, refusals: &[u16]| {
        of(method, id, summary).body("Secret").empty(202, "It is done.").refused(refusals)
    };
    vec![
        of("get", "listSecrets", "The names of the secrets of a namespace; never their values.")
            .gives("The names.", "application/json", list("SecretEntry"))
            .refused(&[400, 401, 500, 501, 502]),
        change(
            "post",
            "createSecret",
            "Creates a secret that is not there.",
            &[400, 401, 408, 409, 413, 422, 500, 501, 502],
        ),
        change(
            "put",
            "updateSecret",
            "Replaces the value of a secret.",
            &[400, 401, 404, 408, 413, 422, 500, 501, 502],
        ),
        change(
            "delete",
            "deleteSecret",
            "Removes a secret that no function names.",
            &[400, 401, 404, 408, 413, 422, 500, 501, 502],
        ),
    ]
}

fn namespaces() -> Vec<Operation> {
    const ONE: &str = "/system/namespace/{namespace}";
    let of = |method, path, id, summary| Operation::new(method, path, id, "namespaces", summary);
    let change = |method, path, id, summary, status, refusals: &[u16]| {
        of(method, path, id, summary).body("FunctionNamespace").empty(status, "It is done.").refused(refusals)
    };
    let created: &[u16] = &[400, 401, 408, 409, 413, 500, 501, 502];
    let changed: &[u16] = &[308, 400, 401, 404, 408, 413, 500, 501, 502];
    vec![
        of("get", "/system/namespaces", "listNamespaces", "The namespaces for functions.")
            .gives(
                "Their names.",
                "application/json",
                json!({ "type": "array", "items": { "type": "string" } }),
            )
            .refused(&[400, 401, 500, 501, 502]),
        // Clients name it in the body alone; without a name these find none.
        of("get", "/system/namespace/", "getNamespace-", "No namespace: the name is missing.")
            .refused(&[400, 401, 404]),
        change(
            "post",
            "/system/namespace/",
            "createNamespace",
            "Creates a namespace, which the body names.",
            201,
            created,
        ),
        change(
            "put",
            "/system/namespace/",
            "updateNamespace-",
            "Refused: the name is missing.",
            202,
            changed,
        ),
        of("delete", "/system/namespace/", "deleteNamespace-", "Refused: the name is missing.")
            .body_if_any("FunctionNamespace")
            .empty(202, "It is done.")
            .refused(changed),
        of("get", ONE, "getNamespace", "One namespace.")
            .gives("The namespace.", "application/json", reference("NamespaceStatus"))
            .refused(&[301, 400, 401, 404, 500, 501, 502]),
        change(
            "post",
            ONE,
            "createNamespace-named",
            "Creates a namespace, which the path names.",
            201,
            &[308, 400, 401, 404, 408, 409, 413, 500, 501, 502],
        ),
        change("put", ONE, "updateNamespace", "Replaces labels and annotations.", 202, changed),
        of("delete", ONE, "deleteNamespace", "Removes a namespace that is empty.")
            .body_if_any("FunctionNamespace")
            .empty(202, "It is removed.")
            .refused(&[308, 400, 401, 404, 408, 413, 500, 501, 502]),
    ]
}

fn rest() -> Vec<Operation> {
    let of = |method, path, id, summary| Operation::new(method, path, id, "platform", summary);
    vec![
        Operation::new("get", "/system/logs", "logs", "logs", "What a function wrote, a line for a line.")
            .query(&log_query())
            .gives("JSON values, one a line.", "application/x-ndjson", reference("LogMessage"))
            .refused(&[400, 401, 404, 422, 500, 501, 502]),
        of("get", "/system/info", "info", "What this platform is.")
            .gives("The platform.", "application/json", reference("Info"))
            .refused(&[400, 401]),
        of(
            "post",
            "/system/alert",
            "alert",
            "Scales the functions that an alert names; AlertManager's webhook.",
        )
        .query(&[namespace()])
        .body("AlertRequest")
        .empty(200, "Done; a function that is not there is nothing to fail at.")
        .refused(&[400, 401, 408, 413, 500, 502]),
        of(
            "get",
            "/system/telemetry",
            "telemetry",
            "What there is to count. Nothing of it leaves the machine.",
        )
        .gives("The counts.", "application/json", reference("Telemetry"))
        .refused(&[400, 401]),
        of("get", "/healthz", "health", "Whether the provider can be reached.")
            .open()
            .empty(200, "It can.")
            .refused(&[500, 501, 502]),
        of("get", "/", "home", "Leads to the pages.").open().empty(307, "To `/ui/`."),
        of("get", "/ui/", "ui", "The pages; there are none yet.").refused(&[401, 404]),
        of("get", "/openapi.json", "openapi", "This document.").open().gives(
            "OpenAPI 3.1.",
            "application/json",
            json!({ "type": "object" }),
        ),
    ]
}

/// Any method will do; these have names that OpenAPI knows.
fn calls() -> Vec<Operation> {
    let mut calls = Vec::new();
    for (path, suffix) in
        [("/function/{name}", ""), ("/function/{name}/", "-home"), ("/function/{name}/{path}", "-path")]
    {
        for method in ["get", "put", "post", "delete", "options", "head", "patch", "trace"] {
            let id = format!("invoke-{method}{suffix}");
            let mut call = Operation::new(method, path, &id, "calls", "Calls a function.").open();
            if matches!(method, "put" | "post" | "patch") {
                call.body = Some(("Anything", false));
            }
            call.parameters[0] = json!({
                "name": "name", "in": "path", "required": true,
                "description": "`NAME` or `NAME.NAMESPACE`.",
                "schema": { "type": "string", "pattern": "^[-a-zA-Z_0-9.]+$" },
            });
            let told = json!({ "$ref": "#/components/responses/Answered" });
            call.answers.insert("default".into(), told);
            call.answers.extend(refusals(&[400, 404, 408, 413, 429, 500, 502, 503, 504]));
            calls.push(call);
        }
    }
    calls
}

fn reference(schema: &str) -> Value {
    match schema {
        "Anything" => json!({}),
        schema => json!({ "$ref": format!("#/components/schemas/{schema}") }),
    }
}

fn list(schema: &str) -> Value {
    json!({ "type": "array", "items": reference(schema) })
}

fn in_path(name: &str) -> Value {
    let schema = match name {
        "path" => json!({ "type": "string" }),
        _ => json!({ "type": "string", "pattern": NAME, "minLength": 1, "maxLength": 63 }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn in_query(name: &str, meaning: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "query", "description": meaning, "schema": schema })
}

fn namespace() -> Value {
    let schema = json!({ "type": "string", "pattern": NAME_IF_ANY, "maxLength": 63 });
    in_query("namespace", "The default one when it is left out.", schema)
}

fn usage() -> Value {
    in_query(
        "usage",
        "`1` or `true` adds what the replicas use; what is neither is as if it were left out.",
        json!({ "type": "string" }),
    )
}

fn log_query() -> Vec<Value> {
    let mut name = in_query("name", "The function.", json!({ "type": "string", "minLength": 1 }));
    name["required"] = true.into();
    vec![
        name,
        namespace(),
        in_query("instance", "One replica alone.", json!({ "type": "string" })),
        in_query(
            "tail",
            "That many of the last lines; 0 and less are all of them.",
            json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        ),
        in_query(
            "follow",
            "`1` or `true` goes on with what is yet to be written; what is neither does not.",
            json!({ "type": "string" }),
        ),
        in_query(
            "since",
            "Lines since then; the last five minutes when neither this nor `tail` is told.",
            json!({ "type": "string", "format": "date-time" }),
        ),
    ]
}

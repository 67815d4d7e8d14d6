//! The schemas: derived from the wire types, and told apart from what the gateway asks beyond types.

use model::scale::REPLICAS_MAX;
use model::wire::{
    AlertRequest, DeleteFunctionRequest, FunctionDeployment, FunctionNamespace, FunctionStatusResponse,
    InfoResponse, LogMessage, ScaleServiceRequest, Secret, TelemetryResponse,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// DNS label: functions and namespaces.
pub const NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// One that may be empty, which is as if it were not there.
pub const NAME_IF_ANY: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$";
const SECRET_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

pub fn all() -> Value {
    let mut all = Map::new();
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    let mut asked = settings().for_deserialize().into_generator();
    add::<FunctionDeployment>(&mut all, &mut asked, "FunctionDeployment");
    add::<DeleteFunctionRequest>(&mut all, &mut asked, "DeleteFunctionRequest");
    add::<ScaleServiceRequest>(&mut all, &mut asked, "ScaleServiceRequest");
    add::<Secret>(&mut all, &mut asked, "Secret");
    add::<FunctionNamespace>(&mut all, &mut asked, "FunctionNamespace");
    add::<AlertRequest>(&mut all, &mut asked, "AlertRequest");
    for schema in all.values_mut().chain(asked.definitions_mut().values_mut()) {
        nullable(schema);
    }
    let mut told = settings().for_serialize().into_generator();
    add::<FunctionStatusResponse>(&mut all, &mut told, "FunctionStatus");
    add::<InfoResponse>(&mut all, &mut told, "Info");
    add::<LogMessage>(&mut all, &mut told, "LogMessage");
    add::<Secret>(&mut all, &mut told, "SecretEntry");
    add::<FunctionNamespace>(&mut all, &mut told, "NamespaceStatus");
    add::<TelemetryResponse>(&mut all, &mut told, "Telemetry");
    for (name, schema) in asked.take_definitions(true).into_iter().chain(told.take_definitions(true)) {
        // Both ways of a nested type are one here: its fields are all optional.
        all.entry(name).or_insert(schema);
    }
    bounds(&mut all);
    for schema in all.values_mut() {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for property in properties.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            // It is how a far side's silence is read, not what this one sends.
            property.remove("default");
        }
    }
    Value::Object(all)
}

/// In a request, `null` as an item or a value is as if it were empty.
fn nullable(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut) {
        for within in ["items", "additionalProperties"] {
            if let Some(inner) = property.get_mut(within) {
                *inner = json!({ "anyOf": [inner.take(), { "type": "null" }] });
            }
        }
    }
}

fn add<T: JsonSchema>(all: &mut Map<String, Value>, generator: &mut SchemaGenerator, name: &str) {
    let mut schema = generator.root_schema_for::<T>().to_value();
    let object = schema.as_object_mut().expect("an object");
    for key in ["$schema", "$defs", "components"] {
        object.remove(key);
    }
    object.insert("title".into(), name.into());
    all.insert(name.into(), schema);
}

/// What the types do not say, and the gateway asks or promises all the same.
fn bounds(all: &mut Map<String, Value>) {
    let name = || json!({ "type": "string", "pattern": NAME, "minLength": 1, "maxLength": 63 });
    let namespace = || json!({ "type": ["string", "null"], "pattern": NAME_IF_ANY, "maxLength": 63 });
    let secret = json!({ "type": "string", "pattern": SECRET_NAME, "minLength": 1, "maxLength": 253 });
    let mut set = |schema: &str, property: &str, bound: Value, required: bool| {
        let schema = all.get_mut(schema).unwrap_or_else(|| panic!("no {schema}"));
        let known = schema["properties"].get_mut(property).unwrap_or_else(|| panic!("no {property}"));
        let known = known.as_object_mut().expect("a schema");
        known.extend(bound.as_object().expect("a schema").clone());
        if required {
            let list = schema.as_object_mut().expect("a schema").entry("required").or_insert(json!([]));
            let list = list.as_array_mut().expect("a list");
            if !list.contains(&property.into()) {
                list.push(property.into());
            }
        }
    };
    let text = || json!({ "type": "string" });
    set("FunctionDeployment", "service", name(), true);
    set("FunctionDeployment", "image", json!({ "type": "string", "minLength": 1 }), true);
    set("FunctionDeployment", "namespace", namespace(), false);
    set("DeleteFunctionRequest", "functionName", name(), true);
    set("DeleteFunctionRequest", "namespace", namespace(), false);
    let replicas = json!({ "type": "integer", "minimum": 0, "maximum": REPLICAS_MAX });
    set("ScaleServiceRequest", "replicas", replicas, true);
    set("ScaleServiceRequest", "namespace", namespace(), false);
    set("Secret", "name", secret.clone(), true);
    set("Secret", "namespace", namespace(), false);
    set("Secret", "rawValue", json!({ "contentEncoding": "base64" }), false);
    set("FunctionNamespace", "name", json!({ "pattern": NAME_IF_ANY, "maxLength": 63 }), false);
    set("FunctionStatus", "name", name(), true);
    set("FunctionStatus", "createdAt", json!({ "type": "string", "format": "date-time" }), true);
    for map in ["labels", "annotations"] {
        set("FunctionStatus", map, json!({ "type": "object" }), true);
    }
    set("SecretEntry", "name", secret, true);
    set("SecretEntry", "namespace", text(), true);
    set("NamespaceStatus", "name", name(), true);
    for (field, bound) in [
        ("name", name()),
        ("namespace", name()),
        ("instance", text()),
        ("timestamp", json!({ "type": "string", "format": "date-time" })),
        ("text", text()),
    ] {
        set("LogMessage", field, bound, true);
    }
    set("Telemetry", "sent", json!({ "const": false }), true);
    set("Info", "arch", json!({ "type": "string", "minLength": 1 }), true);
    // A value goes in and never comes out.
    let listed = all["SecretEntry"]["properties"].as_object_mut().expect("properties");
    for value in ["value", "rawValue"] {
        listed.insert(value.into(), json!(false));
    }
    for part in ["provider", "version"] {
        let schema = all["Info"]["properties"][part].as_object_mut().expect("a schema");
        // Clients fail on a null here.
        if let Some(Value::Array(either)) = schema.remove("anyOf") {
            let one = either.into_iter().find(|one| one.get("$ref").is_some()).expect("a reference");
            schema.extend(one.as_object().expect("a reference").clone());
        }
    }
}

//! Where wire shapes become domain types and back; everything that a client can send wrong is told here.

mod log;
mod namespace;
mod secret;

use jiff::Timestamp;

use crate::wire::{
    FunctionDeployment, FunctionResources, FunctionStatusResponse, InfoResponse, ProviderResponse,
    UsageResponse, VersionResponse,
};
use crate::{
    FunctionId, FunctionName, FunctionSpec, FunctionStatus, ImageRef, Namespace, PlatformInfo, ProviderInfo,
    Quantity, Resources, SpecError, Usage, VersionInfo,
};

impl FunctionDeployment {
    /// The spec that this request asks for; `namespace` is where it goes when the body names none.
    pub fn into_spec(self, namespace: &Namespace) -> Result<FunctionSpec, SpecError> {
        self.parse(namespace)?.validate()
    }

    fn parse(self, namespace: &Namespace) -> Result<FunctionSpec, SpecError> {
        let name = required("service", self.service)?;
        let image = required("image", self.image)?;
        let name = FunctionName::parse(&name).map_err(|e| error("service", e))?;
        let namespace = match self.namespace.filter(|ns| !ns.is_empty()) {
            Some(text) => Namespace::parse(&text).map_err(|e| error("namespace", e))?,
            None => namespace.clone(),
        };
        Ok(FunctionSpec {
            id: FunctionId::new(name, namespace),
            image: ImageRef::parse(&image).map_err(|e| error("image", e))?,
            env_process: self.env_process.filter(|p| !p.is_empty()),
            env: self.env_vars.unwrap_or_default(),
            constraints: self.constraints.unwrap_or_default(),
            secrets: self.secrets.unwrap_or_default().into_iter().collect(),
            labels: self.labels.unwrap_or_default(),
            annotations: self.annotations.unwrap_or_default(),
            limits: resources("limits", self.limits)?,
            requests: resources("requests", self.requests)?,
            read_only_root: self.read_only_root_filesystem.unwrap_or(false),
        })
    }
}

impl From<FunctionSpec> for FunctionDeployment {
    fn from(spec: FunctionSpec) -> Self {
        Self {
            service: Some(spec.id.name.to_string()),
            image: Some(spec.image.familiar()),
            namespace: Some(spec.id.namespace.to_string()),
            env_process: spec.env_process,
            env_vars: Some(spec.env),
            constraints: Some(spec.constraints),
            secrets: Some(spec.secrets.into_iter().collect()),
            labels: Some(spec.labels),
            annotations: Some(spec.annotations),
            limits: spec.limits.into(),
            requests: spec.requests.into(),
            read_only_root_filesystem: spec.read_only_root.then_some(true),
        }
    }
}

impl From<FunctionStatus> for FunctionStatusResponse {
    fn from(status: FunctionStatus) -> Self {
        let spec = status.spec;
        Self {
            name: spec.id.name.to_string(),
            image: spec.image.familiar(),
            namespace: Some(spec.id.namespace.to_string()),
            env_process: spec.env_process,
            env_vars: Some(spec.env),
            constraints: Some(spec.constraints),
            secrets: Some(spec.secrets.into_iter().collect()),
            labels: Some(spec.labels),
            annotations: Some(spec.annotations),
            limits: spec.limits.into(),
            requests: spec.requests.into(),
            read_only_root_filesystem: spec.read_only_root,
            invocation_count: status.invocations as f64,
            replicas: status.replicas.into(),
            available_replicas: status.available.into(),
            // Whole seconds, as orchestrators tell it and clients print it.
            created_at: Some(status.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            usage: status
                .usage
                .map(|usage| UsageResponse { cpu: usage.cpu_milli, total_memory_bytes: usage.memory_bytes }),
        }
    }
}

impl FunctionStatusResponse {
    /// A foreign provider's answer as a status; `namespace` fills in where it names none. What runs elsewhere need
    /// not be what may be deployed here: our bounds are not asked, and resources that we cannot express are left out.
    pub fn into_status(self, namespace: &Namespace) -> Result<FunctionStatus, SpecError> {
        let created_at = self.created_at.as_deref().unwrap_or_default().parse::<Timestamp>();
        let (replicas, available) = (count(self.replicas), count(self.available_replicas));
        let (invocations, usage) = (self.invocation_count.max(0.0) as u64, self.usage);
        let deployment = FunctionDeployment {
            service: Some(self.name),
            image: Some(self.image),
            namespace: self.namespace,
            env_process: self.env_process,
            env_vars: self.env_vars,
            constraints: self.constraints,
            secrets: self.secrets,
            labels: self.labels,
            annotations: self.annotations,
            limits: self.limits.map(expressible),
            requests: self.requests.map(expressible),
            read_only_root_filesystem: Some(self.read_only_root_filesystem),
        };
        Ok(FunctionStatus {
            spec: deployment.parse(namespace)?,
            replicas,
            available,
            created_at: created_at.unwrap_or_default(),
            invocations,
            usage: usage.map(|u| Usage { cpu_milli: u.cpu, memory_bytes: u.total_memory_bytes }),
        })
    }
}

impl From<PlatformInfo> for InfoResponse {
    fn from(info: PlatformInfo) -> Self {
        let provider = ProviderResponse {
            provider: info.provider.name,
            version: info.provider.version.into(),
            orchestration: info.provider.orchestration,
        };
        Self { provider: Some(provider), version: Some(info.version.into()), arch: Some(info.arch) }
    }
}

impl From<InfoResponse> for PlatformInfo {
    fn from(info: InfoResponse) -> Self {
        let provider = info.provider.unwrap_or_default();
        Self {
            provider: ProviderInfo {
                name: or_unknown(provider.provider),
                orchestration: or_unknown(provider.orchestration),
                version: provider.version.into(),
            },
            version: info.version.unwrap_or_default().into(),
            arch: or_unknown(info.arch.unwrap_or_default()),
        }
    }
}

impl From<VersionInfo> for VersionResponse {
    fn from(version: VersionInfo) -> Self {
        Self { commit_message: version.commit_message, sha: version.sha, release: version.release }
    }
}

impl From<VersionResponse> for VersionInfo {
    fn from(version: VersionResponse) -> Self {
        Self {
            release: or_unknown(version.release),
            sha: or_unknown(version.sha),
            commit_message: version.commit_message,
        }
    }
}

impl From<Resources> for Option<FunctionResources> {
    fn from(resources: Resources) -> Self {
        let text = |quantity: Option<Quantity>| quantity.map(|q| q.to_string());
        (!resources.is_empty()).then(|| FunctionResources {
            memory: text(resources.memory),
            cpu: text(resources.cpu),
            ..FunctionResources::default()
        })
    }
}

fn resources(field: &str, wire: Option<FunctionResources>) -> Result<Resources, SpecError> {
    let wire = wire.unwrap_or_default();
    for (vendor, value) in
        [("nvidia.com", wire.nvidia_gpu), ("amd.com", wire.amd_gpu), ("intel.com", wire.intel_gpu)]
    {
        if value.is_some_and(|v| !v.is_empty() && v != "0") {
            return Err(SpecError {
                field: format!("{field}.{vendor}/gpu"),
                problem: "GPUs cannot be given to functions yet; remove the field".into(),
            });
        }
    }
    let quantity = |key: &str, text: Option<String>| {
        text.filter(|t| !t.is_empty())
            .map(|t| Quantity::parse(&t).map_err(|e| error(&format!("{field}.{key}"), e)))
            .transpose()
    };
    Ok(Resources { memory: quantity("memory", wire.memory)?, cpu: quantity("cpu", wire.cpu)? })
}

/// Orchestrators print `0` where nothing was asked for.
fn expressible(wire: FunctionResources) -> FunctionResources {
    let quantity = |text: Option<String>| text.filter(|t| Quantity::parse(t).is_ok_and(|q| q.milli() > 0));
    FunctionResources {
        memory: quantity(wire.memory),
        cpu: quantity(wire.cpu),
        ..FunctionResources::default()
    }
}

fn required(field: &str, value: Option<String>) -> Result<String, SpecError> {
    value.filter(|v| !v.is_empty()).ok_or_else(|| error(field, "is required"))
}

fn error(field: &str, problem: impl ToString) -> SpecError {
    SpecError { field: field.to_owned(), problem: problem.to_string() }
}

fn count(replicas: u64) -> u32 {
    u32::try_from(replicas).unwrap_or(u32::MAX)
}

fn or_unknown(text: String) -> String {
    if text.is_empty() { "unknown".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Result<FunctionSpec, String> {
        let wire: FunctionDeployment = serde_json::from_str(json).map_err(|e| e.to_string())?;
        wire.into_spec(&Namespace::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn nulls_and_unknown_keys_are_absent() {
        let spec = spec(
            r#"{"service":"env","image":"env:1","namespace":null,"labels":null,"annotations":null,"limits":null,
                "secrets":null,"network":"x","registryAuth":"y","envVars":{"A":""}}"#,
        )
        .unwrap();
        assert_eq!(spec.id.to_string(), "env.openfaas-fn");
        assert_eq!(spec.environment().into_iter().collect::<Vec<_>>(), [("A", "")]);
    }

    #[test]
    fn an_explicit_fprocess_variable_wins() {
        let spec =
            spec(r#"{"service":"e","image":"e","envProcess":"a","envVars":{"fprocess":"b"}}"#).unwrap();
        assert_eq!(spec.environment()["fprocess"], "b");
    }

    #[test]
    fn refusals_name_the_field() {
        let check = |extra: &str, field: &str| {
            let json = format!(r#"{{"service":"e","image":"e"{extra}}}"#);
            let problem = spec(&json).unwrap_err();
            assert!(problem.starts_with(field), "{extra}: {problem}");
        };
        check(r#","limits":{"memory":"lots"}"#, "limits.memory: ");
        check(r#","limits":{"memory":"1k"}"#, "limits.memory: ");
        check(r#","limits":{"cpu":"1m"}"#, "limits.cpu: ");
        check(r#","requests":{"cpu":"-1"}"#, "requests.cpu: ");
        check(r#","limits":{"nvidia.com/gpu":"1"}"#, "limits.nvidia.com/gpu: ");
        check(r#","envVars":{"":"x"}"#, "envVars: ");
        check(r#","envVars":{"A=B":"x"}"#, "envVars: ");
        check(r#","envVars":{"A":"\u0000"}"#, "envVars: ");
        check(r#","labels":{"":"x"}"#, "labels: ");
        check(r#","annotations":{"a b":"x"}"#, "annotations: ");
        check(r#","secrets":["../up"]"#, "secrets: ");
        check(r#","constraints":[""]"#, "constraints: ");
        check(r#","namespace":"Kube""#, "namespace: ");
    }

    #[test]
    fn a_status_reads_as_clients_expect() {
        let status = FunctionStatus {
            spec: spec(r#"{"service":"e","image":"e:1"}"#).unwrap(),
            replicas: 1,
            available: 0,
            created_at: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            invocations: 42,
            usage: None,
        };
        let wire = FunctionStatusResponse::from(status);
        assert_eq!(
            serde_json::to_string(&wire).unwrap(),
            r#"{"name":"e","image":"e:1","namespace":"openfaas-fn","labels":{},"annotations":{},"invocationCount":42,"replicas":1,"createdAt":"2026-01-02T03:04:05Z"}"#
        );
    }

    #[test]
    fn what_runs_elsewhere_is_read_as_it_is() {
        let json = r#"{"name":"e","image":"e:1","limits":{"memory":"64Mi","cpu":"0"},
            "requests":{"nvidia.com/gpu":"1","cpu":"1m"}}"#;
        let wire: FunctionStatusResponse = serde_json::from_str(json).unwrap();
        let spec = wire.into_status(&Namespace::default()).unwrap().spec;
        assert_eq!(spec.limits.memory.unwrap().to_string(), "64Mi");
        assert_eq!((spec.limits.cpu, spec.requests.cpu.unwrap().milli()), (None, 1));
    }

    #[test]
    fn a_spec_survives_the_wire() {
        let json = r#"{"service":"e","image":"e:1","namespace":"dev","envProcess":"cat","envVars":{"A":"b"},
            "constraints":["k=v"],"secrets":["s"],"labels":{"l":"1"},"annotations":{"a":"2"},
            "limits":{"memory":"128Mi","cpu":"100m"},"requests":{"memory":"64Mi"},"readOnlyRootFilesystem":true}"#;
        let first = spec(json).unwrap();
        let wire = FunctionDeployment::from(first.clone());
        assert_eq!(wire.into_spec(&Namespace::default()).unwrap(), first);
    }
}

//! The way to the API server.

use std::fmt::Write as _;

use anyhow::{Context, Result, anyhow};
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use leakhound_crds::LeakInvestigation;

use super::{
    Called,
    args::AccessArgs,
    refusal::{Right, refused},
};

/// A cluster, and where in it.
pub(super) struct Access {
    pub(super) client: Client,
    /// Where the API server is, for messages.
    pub(super) server: String,
    /// Namespace of the user's own objects.
    pub(super) namespace: String,
    /// Namespace in which Leakhound is installed.
    pub(super) home: String,
    called: Called,
    /// What a user typed to get here, for the commands that they are told.
    typed: String,
}

impl Access {
    /// Reads the kubeconfig, or what a pod is given; nothing is sent yet.
    pub(super) async fn open(asked: &AccessArgs, called: Called) -> Result<Self> {
        // an error says only that there is one already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = config(asked).await?;
        let server = config.cluster_url.to_string();
        let namespace = asked.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| anyhow!("cannot use the kubeconfig: {error}"))?;
        let typed = typed(asked);
        Ok(Self { client, server, namespace, home: asked.system_namespace.clone(), called, typed })
    }

    /// The user's investigations.
    pub(super) fn investigations(&self) -> Api<LeakInvestigation> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// One of them.
    pub(super) async fn investigation(&self, name: &str) -> Result<LeakInvestigation> {
        let found = self.investigations().get(name).await;
        found.map_err(|error| self.refused(&format!("cannot get investigation {name}"), &error, Right::View))
    }

    /// A command for the user to type next.
    pub(super) fn command(&self, words: &str) -> String {
        format!("{} {words}{}", self.called, self.typed)
    }

    /// The sentence about something that the API server did not do.
    pub(super) fn refused(&self, what: &str, error: &kube::Error, right: Right) -> anyhow::Error {
        refused(what, error, right, self)
    }
}

/// The options by which the same cluster and namespace are reached again.
fn typed(asked: &AccessArgs) -> String {
    let named = [("-n", &asked.namespace), ("--context", &asked.context)];
    let mut typed = String::new();
    for (option, value) in named {
        if let Some(value) = value {
            let _ = write!(typed, " {option} {value}");
        }
    }
    typed
}

async fn config(asked: &AccessArgs) -> Result<Config> {
    let options = KubeConfigOptions { context: asked.context.clone(), ..KubeConfigOptions::default() };
    if let Some(path) = &asked.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(path).map_err(|error| anyhow!("{error}"));
        let kubeconfig = kubeconfig.with_context(|| format!("cannot use --kubeconfig {}", path.display()))?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(&error));
    }
    match Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        // a pod has none, and needs none
        Err(KubeconfigError::ReadConfig(..) | KubeconfigError::FindPath) if asked.context.is_none() => {
            Config::incluster().map_err(|_not_in_a_pod| {
                anyhow!(
                    "there is no kubeconfig to say which cluster: set KUBECONFIG or use --kubeconfig FILE"
                )
            })
        }
        Err(error) => Err(unusable(&error)),
    }
}

fn unusable(error: &KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::LoadContext(_) | KubeconfigError::CurrentContextNotSet => {
            anyhow!("{error}: see `kubectl config get-contexts`, and choose one by --context")
        }
        error => anyhow!("cannot use the kubeconfig: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn told_commands_reach_the_same_place() {
        let mut asked = AccessArgs {
            namespace: None,
            context: None,
            kubeconfig: None,
            system_namespace: "leakhound-system".into(),
        };
        assert_eq!(typed(&asked), "");
        asked.namespace = Some("shop".into());
        asked.context = Some("west".into());
        assert_eq!(typed(&asked), " -n shop --context west");
    }
}

//! Values of the chart that change what it gives.

/// Values that change what is rendered, with what they are about.
pub(crate) const COMBINATIONS: &[(&str, &[&str])] = &[
    ("the chart's own values", &[]),
    ("one replica", &["replicaCount=1"]),
    ("Reveille scales itself", &["autoscaling.enabled=true"]),
    (
        "some namespaces, and waking ourselves",
        &[
            r#"hostPolicy={"shop":["shop.example.com","*.shop.example.com"],"*":["*.example.org"]}"#,
            r#"watchNamespaces=["shop","blog"]"#,
            r#"wake="both""#,
        ],
    ),
    ("the add-on's names", &["addOnNames.enabled=true"]),
    (
        "TLS for clients",
        &[r#"proxy.tls={"secretNames":["shop-tls","blog.tls"]}"#],
    ),
    (
        "clients show certificates",
        &[
            r#"proxy.tls={"secretNames":["tls"],"clientAuth":"required","clientCaSecretName":"clients"}"#,
            "addOnNames.enabled=true",
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "TLS for KEDA",
        &[
            r#"scaler.tls.secretName="grpc""#,
            "autoscaling.enabled=true",
        ],
    ),
    (
        "KEDA shows a certificate",
        &[
            r#"scaler.tls={"secretName":"grpc","clientAuth":"required","authentication":"ClusterTriggerAuthentication/reveille"}"#,
            "autoscaling.enabled=true",
        ],
    ),
    (
        "a public authority",
        &[
            r#"scaler.tls={"secretName":"grpc","caInSecret":false}"#,
            "autoscaling.enabled=true",
        ],
    ),
    (
        "metrics come in",
        &[
            r#"metricsIn={"otlpGrpc":{"enabled":true},"otlpHttp":{"enabled":true},"openCensus":{"enabled":true}}"#,
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "beside Envoy",
        &[
            r#"envoy={"enabled":true,"listenerPort":10000,"nodes":["edge-*"]}"#,
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "beside Envoys that listen with TLS",
        &[
            r#"envoy={"enabled":true,"listenerPort":10443,"listenerTls":{"cert":"/certs/tls.crt","key":"/certs/tls.key"}}"#,
        ],
    ),
    (
        "metrics come in over HTTP only",
        &[
            "metricsIn.otlpHttp.enabled=true",
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "Dapr's sidecars of some namespaces",
        &[
            r#"dapr={"sidecars":true,"scrapeInterval":"1s500ms"}"#,
            r#"watchNamespaces=["shop","blog"]"#,
        ],
    ),
    (
        "Dapr's trust bundle",
        &[
            "dapr.trustBundle.enabled=true",
            r#"watchNamespaces=["shop"]"#,
        ],
    ),
    (
        "the root of a trust bundle elsewhere",
        &[r#"dapr.trustBundle={"enabled":true,"namespace":"mesh","name":"trust","rootOnly":true}"#],
    ),
    (
        "a network policy",
        &[
            "networkPolicy.enabled=true",
            r#"networkPolicy.proxyFrom=[{"podSelector":{"matchLabels":{"app":"ingress"}}}]"#,
            r#"networkPolicy.scalerFrom=[{"namespaceSelector":{}}]"#,
            r#"networkPolicy.adminFrom=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]"#,
        ],
    ),
    (
        "monitoring",
        &[
            r#"serviceMonitor={"enabled":true,"labels":{"release":"prometheus"}}"#,
            r#"alerts={"enabled":true,"labels":{"release":"prometheus"}}"#,
            r#"dashboards={"enabled":true,"annotations":{"grafana_folder":"Reveille"}}"#,
        ],
    ),
    (
        "nothing beside",
        &[
            "crds.install=false",
            "rbac.create=false",
            "serviceAccount.create=false",
            "podDisruptionBudget.enabled=false",
            "resources=null",
        ],
    ),
    (
        "a load balancer",
        &[
            r#"proxy.service={"type":"LoadBalancer","loadBalancerClass":"example.com/lb","loadBalancerSourceRanges":["10.0.0.0/8"],"externalTrafficPolicy":"Local","nodePort":30080,"annotations":{"a":"b"}}"#,
        ],
    ),
    (
        "everything else",
        &[
            r#"image={"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}"#,
            r#"imagePullSecrets=["registry"]"#,
            r#"nameOverride="front""#,
            r#"fullnameOverride="front-door""#,
            r#"commonLabels={"team":"platform"}"#,
            r#"proxy.upstream.caSecretName="internal-ca""#,
            r#"proxy.sessionSecretName="sessions""#,
            r#"admin.tokenSecretName="admin-tokens""#,
            r#"trustedProxies=["10.0.0.0/8","fd00::/8"]"#,
            r#"traces.endpoint="http://collector:4317""#,
            r#"bindAddress="[::]""#,
            r#"accessLog="json""#,
            r#"extraArgs=["--request-timeout=60s"]"#,
            r#"extraEnv=[{"name":"REVEILLE_WORKERS","value":"2"}]"#,
            r#"extraEnvFrom=[{"configMapRef":{"name":"settings"}}]"#,
            r#"extraVolumes=[{"name":"more","emptyDir":{}}]"#,
            r#"extraVolumeMounts=[{"name":"more","mountPath":"/more"}]"#,
            r#"podAnnotations={"a":"b"}"#,
            r#"podLabels={"c":"d"}"#,
            r#"priorityClassName="system-cluster-critical""#,
            r#"nodeSelector={"kubernetes.io/os":"linux"}"#,
            r#"tolerations=[{"key":"edge","operator":"Exists"}]"#,
            r#"affinity={"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"a":"b"}}}]}}"#,
            r#"topologySpreadConstraints=[{"topologyKey":"rack","maxSkew":1,"whenUnsatisfiable":"DoNotSchedule"}]"#,
            r#"serviceAccount={"name":"door","annotations":{"a":"b"}}"#,
            r#"shutdown={"delaySeconds":20,"drainSeconds":600}"#,
        ],
    ),
];

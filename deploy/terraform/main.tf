# KEDA and Reveille in one namespace, by their Helm charts.

locals {
  namespace = var.create_namespace ? kubernetes_namespace_v1.this[0].metadata[0].name : var.namespace

  # What the variables of this module say, in the chart's words.
  values = merge(
    { replicaCount = var.replicas },
    var.image == null ? {} : { image = var.image },
  )
}

resource "kubernetes_namespace_v1" "this" {
  count = var.create_namespace ? 1 : 0

  metadata {
    name = var.namespace
  }
}

resource "helm_release" "keda" {
  count = var.install_keda ? 1 : 0

  name       = "keda"
  namespace  = local.namespace
  repository = "https://kedacore.github.io/charts"
  chart      = "keda"
  version    = var.keda_version
  values     = var.keda_values
  atomic     = true
}

resource "helm_release" "reveille" {
  name      = var.release
  namespace = local.namespace
  chart     = coalesce(var.chart, "${path.module}/../helm/reveille")
  version   = var.chart_version
  values    = concat([yamlencode(local.values)], var.values)
  atomic    = true

  # A ScaledObject of Reveille's own (autoscaling.enabled) needs KEDA's definitions.
  depends_on = [helm_release.keda]
}

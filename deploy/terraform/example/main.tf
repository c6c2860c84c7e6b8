# A service that sleeps: KEDA, Reveille, a Deployment with its Service, the route
# and the ScaledObject.
#
#   terraform init
#   terraform apply -target=module.reveille   # the definitions of routes come with it
#   terraform apply

terraform {
  required_version = ">= 1.3.0"

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.0.0"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.20.0"
    }
  }
}

variable "kube_context" {
  description = "Context of ~/.kube/config."
  type        = string
}

provider "kubernetes" {
  config_path    = "~/.kube/config"
  config_context = var.kube_context
}

provider "helm" {
  kubernetes = {
    config_path    = "~/.kube/config"
    config_context = var.kube_context
  }
}

module "reveille" {
  source = "../"
}

resource "kubernetes_namespace_v1" "demo" {
  metadata {
    name = "demo"
  }
}

resource "kubernetes_deployment_v1" "whoami" {
  metadata {
    name      = "whoami"
    namespace = kubernetes_namespace_v1.demo.metadata[0].name
  }

  spec {
    selector {
      match_labels = { app = "whoami" }
    }

    template {
      metadata {
        labels = { app = "whoami" }
      }

      spec {
        container {
          name  = "whoami"
          image = "traefik/whoami:v1.11.0"

          port {
            name           = "http"
            container_port = 80
          }

          readiness_probe {
            http_get {
              path = "/health"
              port = "http"
            }
            period_seconds = 1
          }
        }
      }
    }
  }

  wait_for_rollout = false

  lifecycle {
    # How many there are is KEDA's business.
    ignore_changes = [spec[0].replicas]
  }
}

resource "kubernetes_service_v1" "whoami" {
  metadata {
    name      = "whoami"
    namespace = kubernetes_namespace_v1.demo.metadata[0].name
  }

  spec {
    selector = { app = "whoami" }

    port {
      name        = "http"
      port        = 80
      target_port = "http"
    }
  }
}

resource "kubernetes_manifest" "route" {
  manifest = {
    apiVersion = "http.keda.sh/v1beta1"
    kind       = "InterceptorRoute"
    metadata = {
      name      = "whoami"
      namespace = kubernetes_namespace_v1.demo.metadata[0].name
    }
    spec = {
      target        = { service = kubernetes_service_v1.whoami.metadata[0].name, port = 80 }
      rules         = [{ hosts = ["whoami.localhost"] }]
      scalingMetric = { concurrency = { targetValue = 10 } }
    }
  }

  depends_on = [module.reveille]
}

resource "kubernetes_manifest" "scaled_object" {
  manifest = {
    apiVersion = "keda.sh/v1alpha1"
    kind       = "ScaledObject"
    metadata = {
      name      = "whoami"
      namespace = kubernetes_namespace_v1.demo.metadata[0].name
    }
    spec = {
      scaleTargetRef  = { name = kubernetes_deployment_v1.whoami.metadata[0].name }
      minReplicaCount = 0
      maxReplicaCount = 5
      cooldownPeriod  = 60
      triggers = [{
        type = "external-push"
        metadata = {
          scalerAddress    = module.reveille.scaler_address
          interceptorRoute = kubernetes_manifest.route.manifest.metadata.name
        }
      }]
    }
  }

  depends_on = [module.reveille]
}

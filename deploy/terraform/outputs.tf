output "namespace" {
  description = "Namespace of KEDA and Reveille."
  value       = local.namespace
}

output "scaler_address" {
  description = "scalerAddress of triggers."
  value       = "${var.release}-scaler.${local.namespace}:9090"
}

output "proxy_host" {
  description = "Host of the proxy Service, for Ingresses and gateways in front."
  value       = "${var.release}-proxy.${local.namespace}.svc.cluster.local"
}

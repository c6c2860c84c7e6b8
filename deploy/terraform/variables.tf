variable "namespace" {
  description = "Namespace of KEDA and Reveille."
  type        = string
  default     = "keda"
}

variable "create_namespace" {
  description = "Whether the module makes the namespace."
  type        = bool
  default     = true
}

variable "install_keda" {
  description = "Whether the module installs KEDA. False where the cluster has it already."
  type        = bool
  default     = true
}

variable "keda_version" {
  description = "Version of KEDA's chart; null: the newest."
  type        = string
  default     = null
}

variable "keda_values" {
  description = "Values of KEDA's chart, as YAML documents."
  type        = list(string)
  default     = []
}

variable "chart" {
  description = "Reveille's chart: a directory, an archive, or an oci:// address. Null: the chart of this repository."
  type        = string
  default     = null
}

variable "chart_version" {
  description = "Version of the chart, where it comes from a registry."
  type        = string
  default     = null
}

variable "release" {
  description = "Name of Reveille's release; its Services begin with it."
  type        = string
  default     = "reveille"
}

variable "image" {
  description = "Image of Reveille; null: the chart's."
  type = object({
    repository = string
    tag        = string
  })
  default = null
}

variable "replicas" {
  description = "Replicas of Reveille."
  type        = number
  default     = 3

  validation {
    condition     = var.replicas >= 1
    error_message = "There must be at least one replica."
  }
}

variable "values" {
  description = "More values of Reveille's chart, as YAML documents; later ones win."
  type        = list(string)
  default     = []
}

{{/* Set once only: a pod that already has its IPs refuses others ("may specify no more than one IP"). */}}
{{ if not .status.podIP }}
{{ $hostIP := NodeIPWith .spec.nodeName }}
{{ $podIP := PodIPWith .spec.nodeName (.spec.hostNetwork | default false) .metadata.uid .metadata.name .metadata.namespace }}
hostIP: {{ $hostIP | Quote }}
hostIPs: [{ip: {{ $hostIP | Quote }}}]
podIP: {{ $podIP | Quote }}
podIPs: [{ip: {{ $podIP | Quote }}}]
{{ end }}
{{ if not .status.startTime }}
startTime: {{ Now | Quote }}
{{ end }}

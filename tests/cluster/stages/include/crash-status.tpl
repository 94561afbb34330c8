{{/* Status of a pod whose failing containers have just crashed once more. */}}
{{ $now := Now }}
{{ $forced := get (.metadata.annotations | default dict) "remediator.test/failure" }}
{{ $old := dict }}
{{ range .status.containerStatuses }}{{ $old = set $old .name . }}{{ end }}
{{ $failing := list }}
{{ range $index, $container := .spec.containers }}
{{ if ternary (eq $index 0) (regexMatch "crash|oom" .image) (ne $forced "") }}
{{ $failing = append $failing .name }}
{{ end }}
{{ end }}
@include not-ready
containerStatuses:
{{ range $index, $container := .spec.containers }}
{{ $before := get $old .name | default dict }}
{{ $restarts := get $before "restartCount" | default 0 | int }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | sha256sum | printf "test@sha256:%s" | Quote }}
  {{ if has .name $failing }}
  {{ $failure := or $forced (regexFind "crash|oom" .image) }}
  ready: false
  started: false
  restartCount: {{ add $restarts 1 }}
  lastState:
    terminated:
      {{ if eq $failure "oom" }}
      exitCode: 137
      reason: OOMKilled
      {{ else }}
      exitCode: 1
      reason: Error
      message: "KeyError: 'DATABASE_URL'"
      {{ end }}
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
  state:
    waiting:
      reason: CrashLoopBackOff
      message: back-off 5m0s restarting failed container={{ .name }} pod={{ $.metadata.name }}_{{ $.metadata.namespace }}({{ $.metadata.uid }})
  {{ else }}
  ready: true
  started: true
  restartCount: {{ $restarts }}
  state:
    running: {startedAt: {{ $now | Quote }}}
  {{ end }}
{{ end }}
@include init-containers
@include addresses
phase: Running

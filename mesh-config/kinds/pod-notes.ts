// Fields of pods that Kubernetes knows and Weir has no meaning for. Ignored is what changes neither the processes that
// run, nor what they may do, nor who may reach them; everything else is refused.

import { ignored, type Notes, notesFor, unsupported } from '../schema/fields.ts';

const PROCESS = 'containers run as processes of this machine, without an image';
const SCHEDULING = ignored('there is one node, and every pod runs on it');
const PROBE = ignored('a container counts as ready while its process runs');

export const podNotes: Notes = {
  ...notesFor(
    ['nodeSelector', 'nodeName', 'affinity', 'tolerations', 'topologySpreadConstraints', 'schedulerName'],
    SCHEDULING,
  ),
  ...notesFor(['priority', 'priorityClassName', 'preemptionPolicy'], SCHEDULING),
  imagePullSecrets: ignored(PROCESS),
  terminationGracePeriodSeconds: ignored('processes get the node’s own time to end'),
  enableServiceLinks: ignored('no variables for Services are set; names resolve'),
  automountServiceAccountToken: ignored('no token is mounted'),
  ...notesFor(['volumes', 'initContainers', 'ephemeralContainers'], unsupported({ harmless: ['empty'] })),
  ...notesFor(['schedulingGates', 'readinessGates', 'resourceClaims'], unsupported({ harmless: ['empty'] })),
  ...notesFor(['securityContext', 'overhead', 'resources'], unsupported({ harmless: ['empty'] })),
  ...notesFor(['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace'], unsupported({ harmless: [false] })),
  setHostnameAsFQDN: unsupported({ harmless: [false] }),
  hostUsers: unsupported({ harmless: [true] }),
  dnsPolicy: unsupported({ harmless: ['ClusterFirst'], why: 'pods use the cluster’s names' }),
  ...notesFor(['dnsConfig', 'hostAliases'], unsupported({ harmless: ['empty'] })),
  ...notesFor(['hostname', 'subdomain', 'hostnameOverride', 'runtimeClassName'], unsupported({ harmless: [''] })),
  ...notesFor(['activeDeadlineSeconds', 'os', 'schedulingGroup', 'workloadRef'], unsupported()),
};

export const containerNotes: Notes = {
  ...notesFor(['image', 'imagePullPolicy'], ignored(PROCESS)),
  resources: ignored('processes are not limited'),
  ...notesFor(['livenessProbe', 'readinessProbe', 'startupProbe'], PROBE),
  ...notesFor(['terminationMessagePath', 'terminationMessagePolicy'], ignored('`weir logs` shows what was printed')),
  ...notesFor(['stdin', 'stdinOnce', 'tty'], ignored('a container’s process has no terminal; `weir exec` gives one')),
  ...notesFor(['envFrom', 'volumeMounts', 'volumeDevices'], unsupported({ harmless: ['empty'] })),
  ...notesFor(['securityContext', 'lifecycle', 'resizePolicy'], unsupported({ harmless: ['empty'] })),
  ...notesFor(['restartPolicy', 'restartPolicyRules'], unsupported({ why: 'restartPolicy is the pod’s' })),
};

export const containerPortNotes: Notes = {
  hostPort: unsupported({ harmless: [0] }),
  hostIP: unsupported({ harmless: [''] }),
};

export const envNotes: Notes = { valueFrom: unsupported({ why: 'write a value' }) };

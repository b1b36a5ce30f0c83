import type { Accepted } from './scenario.ts';

/** Differences that stay, each with its reason. */
export const accepted: readonly Accepted[] = [
  {
    scenario: /^custom objects: what they hold$/,
    at: /#14 POST .*warning$/,
    reason: 'a body of another version is refused before it is pruned; upstream prunes all of it first',
  },
  {
    scenario: /^custom objects: status, scale/,
    at: /managedFields/,
    reason: 'upstream forgets the time of what is scaled, and sorts it first for that',
  },
  {
    scenario: /^custom objects: status, scale/,
    at: /#15 .*body/,
    reason: 'no protobuf for custom objects: upstream’s text offers it all the same',
  },
  {
    scenario: /^(custom objects|definitions)/,
    at: /#(23|4|15) \/apis\/\{ns\}.*(type|body)$/,
    reason: 'an unknown kind of a known group is told by a Status, not by a text',
  },
  {
    scenario: /^definitions that change$/,
    at: /#11 PATCH .*managedFields.*manager$/,
    reason: 'who sets the conditions of a definition has another name',
  },
  {
    scenario: /^definitions that are refused$/,
    at: /#([12]|47) POST .*body/,
    reason: 'upstream quotes a Go struct with all of its fields',
  },
  {
    scenario: /^deletion: preconditions$/,
    at: /#8 .*message$/,
    reason: 'upstream names the line of its source that holds the registry of types',
  },
  {
    scenario: /./,
    at: /(columnDefinitions|body)\.[^.]+\.description$/,
    reason: 'descriptions are our own sentences; upstream’s are not copied',
  },
  {
    scenario: /^field validation$/,
    at: /#1[2457] PATCH .*message$/,
    reason: 'the message quotes the whole patched object; only the order of its keys (and Go’s map syntax) differs',
  },
  {
    scenario: /^bodies that do not decode$/,
    at: /#(6|19|20|21|22|23|31|32) .*message$/,
    reason: 'words of Go’s JSON and YAML parsers and names of Go types inside the sentence; the rest is equal',
  },
  {
    scenario: /^pods that do not decode$/,
    at: /#8 .*message$/,
    reason: 'Go names an embedded struct in the path',
  },
  {
    scenario: /^the life of a ConfigMap$/,
    at: /#6 PUT .*message$/,
    reason: 'the text quotes upstream’s storage key',
  },
  {
    scenario: /^lists in pages$/,
    at: /#16 .*message$/,
    reason: 'words of Go’s JSON parser inside the sentence',
  },
  {
    scenario: /^tables and metadata$/,
    at: /#9 .*body\[2\]\.object\.rows\[0\]\.cells/,
    reason: 'a bookmark is no object: upstream prints the cells of an empty one',
  },
  {
    scenario: /^tables and metadata$/,
    at: /#2[67] .*watch=true/,
    reason: 'a watch as PartialObjectMetadataList cannot be: upstream says so in a stream that ends at once, we by 406',
  },
  {
    scenario: /^discovery documents$/,
    at: /groups\.(apps|autoscaling|batch|apiextensions\.k8s\.io)$/,
    reason: 'these groups come with plugins',
  },
  {
    scenario: /^discovery documents$/,
    at: /#1[34] /,
    reason: 'aggregated discovery v2beta1 is still served to clients of 1.27 to 1.29; upstream has ended it',
  },
  {
    scenario: /^paths outside resources$/,
    at: /#1[56] /,
    reason:
      'the issuer’s documents come from the composition root (core/cmd/roles/apiserver.ts), which is not in this test',
  },
  {
    scenario: /^deletion: namespaces$/,
    at: /finalizers\[\d\]$/,
    reason: 'upstream takes a namespace’s finalizers from a map of Go, in whatever order that gives',
    isChance: true,
  },
  {
    scenario: /^(kind persistentvolume|kind volumeattributesclasses|priorities)/,
    at: /metadata\.(finalizers|deletionTimestamp|deletionGracePeriodSeconds)$/,
    reason: 'no protection finalizers before there is a storage controller that takes them off',
  },
  {
    scenario: /^kind flowschemas/,
    at: /(body\[[25]\]|status\.conditions|managedFields.*)$/,
    reason: 'flow control comes later: nobody looks whether the level of a schema is there, and tells it',
    isChance: true,
  },
  {
    scenario: /^kind apiservices/,
    at: /(body\[[25]\]|status\.conditions.*|managedFields.*)$/,
    reason: 'both servers tell in their own time, and under their own names, that the service is not there',
    isChance: true,
  },
  {
    scenario: /^every combination of version and match in watches$/,
    at: /\.body\[6\]$/,
    reason:
      'upstream looks once a second for watches whose bookmark is due: one that ends after a second may see one more',
    isChance: true,
  },
  {
    scenario: /^services: IPAddress objects$/,
    at: /managedFields\[0\]\.manager$/,
    reason: 'the server writes them under a name of its own',
  },
  {
    scenario: /^kind ipaddresses/,
    at: /\.body\.Age$/,
    reason: 'upstream sends a cell for the age and forgets its column',
  },
  {
    scenario:
      /^kind (rolebindings|clusterrolebindings|poddisruptionbudgets|storageversionmigrations|resourceclaimtemplates|persistentvolume)/,
    at: /(message|causes\[\d\]\.message)$/,
    reason: 'upstream prints Go’s form of the refused value, or a difference of two of them',
  },
  {
    scenario: /^parts of pods$/,
    at: /#14 .*warning$/,
    reason: 'refusals carry no warnings here',
  },
  {
    scenario: /^two forms of events/,
    at: /(Timestamp|eventTime|reportingInstance|managedFields.*)$/,
    reason:
      'times that were not given are absent here and null there; who owns the fields of both forms is not converted',
  },
  {
    scenario: /^two forms of events/,
    at: /#(8|9) .*(message|details\.group)$/,
    reason: 'upstream refuses in the name of the form that it stores',
  },
  {
    scenario: /^kind certificatesigningrequests/,
    at: /managedFields$/,
    reason: 'upstream does not track who owns fields of a request that is not an apply',
  },
  {
    scenario: /^kind (limitranges|resourceclaims)/,
    at: /(spec\.limits|f:spec|requests)$/,
    reason: 'a list that was not given is absent here and null there',
  },
  {
    scenario: /^projected certificates$/,
    at: /#1 .*message$/,
    reason: 'upstream prints Go’s form of the refused value',
  },
  {
    scenario: /^kind devicetaintrules/,
    at: /f:timeAdded$/,
    reason: 'the server’s own time is nobody’s field here',
  },
  {
    scenario: /^refusals of somebody without rights$/,
    at: /\/version \.body\.(gitVersion|gitCommit|gitTreeState|goVersion|compiler|platform|buildDate)$/,
    reason: 'what was built, and with what',
  },
];

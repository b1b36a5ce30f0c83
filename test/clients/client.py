"""What programs do with the Python client: lists, watches, informers, patches, exec, logs, port-forward, leader election.

KUBECONFIG names the cluster, the first argument a namespace with a ready pod `server` of the demo image.
Prints `ok STEP` for each thing that worked.
"""
import logging
import sys
import threading
import uuid

from kubernetes import client, config, dynamic, watch
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes.stream import portforward, stream

namespace = sys.argv[1]
config.load_kube_config()
core = client.CoreV1Api()


def ok(step):
    print("ok " + step, flush=True)


def config_map(name, labels=None, data=None):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data or {"a": "1"})


for index in range(7):
    core.create_namespaced_config_map(namespace, config_map(f"py-{index}", {"set": "py"}))
page = core.list_namespaced_config_map(namespace, label_selector="set=py", limit=3)
names = [item.metadata.name for item in page.items]
assert len(names) == 3 and page.metadata.remaining_item_count is None  # a selector hides the count
while page.metadata._continue:
    page = core.list_namespaced_config_map(namespace, label_selector="set=py", limit=3, _continue=page.metadata._continue)
    names += [item.metadata.name for item in page.items]
assert names == [f"py-{index}" for index in range(7)], names
ok("list in pages")

stream_of = watch.Watch().stream(
    core.list_namespaced_config_map, namespace, label_selector="set=py", resource_version=page.metadata.resource_version, timeout_seconds=30)
core.patch_namespaced_config_map("py-0", namespace, {"data": {"a": "2"}})
core.delete_namespaced_config_map("py-1", namespace)
event = next(stream_of)
assert (event["type"], event["object"].data["a"]) == ("MODIFIED", "2"), event
event = next(stream_of)
assert (event["type"], event["object"].metadata.name) == ("DELETED", "py-1"), event
ok("watch from a version")

try:
    from kubernetes.informer import SharedInformer
except ImportError:
    SharedInformer = None
if SharedInformer:
    informer = SharedInformer(core.list_namespaced_config_map, namespace=namespace, label_selector="set=py")
    seen, listed, both = [], threading.Event(), threading.Event()

    def added(item):
        seen.append(item.metadata.name)
        if "py-2" in seen:
            listed.set()
        if {"py-2", "py-late"} <= set(seen):
            both.set()

    informer.add_event_handler("ADDED", added)
    informer.start()
    assert listed.wait(20), seen
    # What comes now comes by the watch: an informer that is stopped before it has one waits for its end.
    core.create_namespaced_config_map(namespace, config_map("py-late", {"set": "py"}))
    assert both.wait(20), seen
    logging.disable(logging.ERROR)  # it shuts its own socket and complains
    informer.stop()
    logging.disable(logging.NOTSET)
ok("informer")

core.delete_collection_namespaced_config_map(namespace, label_selector="set=py")
assert core.list_namespaced_config_map(namespace, label_selector="set=py").items == []
try:
    core.read_namespaced_config_map("py-0", namespace)
    raise AssertionError("it is gone")
except client.ApiException as error:
    assert error.status == 404 and '"reason":"NotFound"' in error.body.replace(" ", ""), error.body
ok("errors and deletecollection")

dynamic_client = dynamic.DynamicClient(client.ApiClient())
api = dynamic_client.resources.get(api_version="v1", kind="ConfigMap")
body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "py-applied"}, "data": {"a": "1"}}
api.server_side_apply(body=body, name="py-applied", namespace=namespace, field_manager="python")
assert api.get(name="py-applied", namespace=namespace).data.a == "1"
api.delete(name="py-applied", namespace=namespace)
ok("dynamic client and server-side apply")

said = stream(core.connect_get_namespaced_pod_exec, "server", namespace, command=["sh", "-c", "echo out; echo err >&2; exit 3"],
              stdin=False, stdout=True, stderr=True, tty=False, _preload_content=False)
said.run_forever(timeout=30)
assert (said.read_stdout(), said.read_stderr(), said.returncode) == ("out\n", "err\n", 3)
shell = stream(core.connect_get_namespaced_pod_exec, "server", namespace, command=["sh"],
               stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False)
shell.write_stdin("echo through\n")
assert shell.readline_stdout(timeout=20) == "through"
shell.write_stdin("exit 0\n")
shell.run_forever(timeout=20)
shell.close()
ok("exec")

assert "listens on" in core.read_namespaced_pod_log("server", namespace)
for line in watch.Watch().stream(core.read_namespaced_pod_log, "server", namespace):
    assert "listens on" in line
    break
ok("logs")

forward = portforward(core.connect_get_namespaced_pod_portforward, "server", namespace, ports="8080")
connection = forward.socket(8080)
connection.setblocking(True)
connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
answer = b""
while chunk := connection.recv(4096):
    answer += chunk
connection.close()
assert b"200 OK" in answer and answer.endswith(b"ok\n"), answer
assert forward.error(8080) is None
ok("port-forward")

started = threading.Event()
candidate = str(uuid.uuid4())
lock = LeaseLock("py-leader", namespace, candidate)
election = electionconfig.Config(lock, lease_duration=15, renew_deadline=10, retry_period=2, onstarted_leading=started.set, onstopped_leading=None)
threading.Thread(target=leaderelection.LeaderElection(election).run, daemon=True).start()
assert started.wait(20)
assert client.CoordinationV1Api().read_namespaced_lease("py-leader", namespace).spec.holder_identity == candidate
ok("leader election")

account = core.create_namespaced_service_account_token(
    "default", namespace, client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=None, expiration_seconds=600)))
limited = client.Configuration.get_default_copy()
limited.api_key = {"authorization": "Bearer " + account.status.token}
limited.refresh_api_key_hook = None  # it would put the kubeconfig's token back
me = client.AuthenticationV1Api(client.ApiClient(limited)).create_self_subject_review(client.V1SelfSubjectReview())
assert me.status.user_info.username == f"system:serviceaccount:{namespace}:default"
ok("token of a service account")

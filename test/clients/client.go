// What programs do with client-go: typed and dynamic informers, paged lists, server-side apply, exec, port-forward, leader election.
// KUBECONFIG names the cluster, the first argument a namespace with a ready pod `server` of the demo image. Prints `ok STEP`.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/retry"
)

var namespace = os.Args[1]

func must(err error) {
	if err != nil {
		panic(err)
	}
}
func check(good bool, format string, args ...any) {
	if !good {
		panic(fmt.Sprintf(format, args...))
	}
}
func ok(step string) { fmt.Println("ok " + step) }

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"set": "go"}}, Data: map[string]string{"a": "1"}}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	proto := rest.CopyConfig(config)
	proto.ContentType = "application/vnd.kubernetes.protobuf"
	for name, each := range map[string]*rest.Config{"json": config, "protobuf": proto} {
		discover(name, each)
		typed(ctx, name, kubernetes.NewForConfigOrDie(each))
	}
	untyped(ctx, config)
	client := kubernetes.NewForConfigOrDie(config)
	streams(ctx, config, client)
	elect(ctx, client)
}

func discover(name string, config *rest.Config) {
	client := discovery.NewDiscoveryClientForConfigOrDie(config)
	for _, legacy := range []bool{false, true} {
		client.UseLegacyDiscovery = legacy
		_, lists, err := client.ServerGroupsAndResources()
		must(err)
		verbs := 0
		for _, list := range lists {
			for _, resource := range list.APIResources {
				check(len(resource.Verbs) > 0 && resource.Kind != "", "%s: %v", list.GroupVersion, resource)
				verbs += len(resource.Verbs)
			}
		}
		check(verbs > 300, "%d verbs", verbs)
	}
	document, err := client.OpenAPISchema()
	must(err)
	check(len(document.GetDefinitions().GetAdditionalProperties()) > 100, "too few definitions")
	paths, err := client.OpenAPIV3().Paths()
	must(err)
	_, err = paths["api/v1"].Schema("application/json")
	must(err)
	ok(name + ": discovery and OpenAPI")
}

func typed(ctx context.Context, name string, client kubernetes.Interface) {
	maps := client.CoreV1().ConfigMaps(namespace)
	options := metav1.ListOptions{LabelSelector: "set=go"}
	for index := range 7 {
		_, err := maps.Create(ctx, configMap(fmt.Sprintf("go-%d", index)), metav1.CreateOptions{})
		must(err)
	}
	pages, count := 0, 0
	lister := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		pages++
		return maps.List(ctx, o)
	})
	lister.PageSize = 3
	must(lister.EachListItem(ctx, options, func(runtime.Object) error { count++; return nil }))
	check(pages == 3 && count == 7, "%d pages of %d objects", pages, count)
	ok(name + ": list in pages")

	factory := informers.NewSharedInformerFactoryWithOptions(client, time.Minute, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps()
	seen := make(chan string, 100)
	_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { seen <- "add " + object.(*corev1.ConfigMap).Name },
		UpdateFunc: func(_, object any) { seen <- "update " + object.(*corev1.ConfigMap).Name },
		DeleteFunc: func(object any) {
			key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(object)
			seen <- "delete " + key
		},
	})
	must(err)
	stop := make(chan struct{})
	defer close(stop)
	factory.Start(stop)
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		check(synced, "%v did not sync", kind)
	}
	got, err := informer.Lister().ConfigMaps(namespace).Get("go-3")
	must(err)
	check(got.Data["a"] == "1", "%v", got)
	must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		fresh, err := maps.Get(ctx, "go-3", metav1.GetOptions{})
		must(err)
		fresh.Data["a"] = "2"
		_, err = maps.Update(ctx, fresh, metav1.UpdateOptions{})
		return err
	}))
	await(ctx, seen, "update go-3")
	_, err = maps.Apply(ctx, applycore.ConfigMap("go-applied", namespace).WithLabels(map[string]string{"set": "go"}).WithData(map[string]string{"b": "1"}), metav1.ApplyOptions{FieldManager: "go"})
	must(err)
	await(ctx, seen, "add go-applied")
	stale := got.DeepCopy()
	_, err = maps.Update(ctx, stale, metav1.UpdateOptions{})
	check(apierrors.IsConflict(err), "%v", err)
	must(maps.DeleteCollection(ctx, metav1.DeleteOptions{}, options))
	await(ctx, seen, "delete "+namespace+"/go-applied")
	_, err = maps.Get(ctx, "go-3", metav1.GetOptions{})
	check(apierrors.IsNotFound(err), "%v", err)
	ok(name + ": informer, update, apply, conflict, deletecollection")
}

func await(ctx context.Context, seen <-chan string, wanted string) {
	for {
		select {
		case got := <-seen:
			if got == wanted {
				return
			}
		case <-ctx.Done():
			panic("never seen: " + wanted)
		}
	}
}

func untyped(ctx context.Context, config *rest.Config) {
	maps := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0, namespace, nil)
	factory.ForResource(maps)
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		check(synced, "%v did not sync", kind)
	}
	list, err := metadata.NewForConfigOrDie(config).Resource(maps).Namespace(namespace).List(ctx, metav1.ListOptions{})
	must(err)
	check(len(list.Items) > 0 && list.Items[0].UID != "", "%v", list)
	ok("dynamic informer and metadata")
}

func streams(ctx context.Context, config *rest.Config, client kubernetes.Interface) {
	pod := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name("server")
	exec := pod.SubResource("exec").VersionedParams(&corev1.PodExecOptions{Command: []string{"sh", "-c", "cat; echo err >&2; exit 3"}, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", exec.URL().String())
	must(err)
	var out, errors bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("through"), Stdout: &out, Stderr: &errors})
	coded, isCoded := err.(interface{ ExitStatus() int })
	check(isCoded && coded.ExitStatus() == 3 && out.String() == "through" && errors.String() == "err\n", "%v %q %q", err, out.String(), errors.String())
	ok("exec")

	logs, err := client.CoreV1().Pods(namespace).GetLogs("server", &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	must(err)
	line := make([]byte, 512)
	count, err := logs.Read(line)
	must(err)
	check(strings.Contains(string(line[:count]), "listens on"), "%q", line[:count])
	must(logs.Close())
	ok("logs")

	url := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name("server").SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	must(err)
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{"0:8080"}, stop, ready, io.Discard, os.Stderr)
	must(err)
	done := make(chan error, 1)
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		panic(err)
	}
	ports, err := forwarder.GetPorts()
	must(err)
	for range 3 {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", ports[0].Local))
		must(err)
		body, err := io.ReadAll(answer.Body)
		must(err)
		check(string(body) == "ok\n", "%q", body)
	}
	close(stop)
	must(<-done)
	ok("port-forward")
}

func elect(ctx context.Context, client kubernetes.Interface) {
	holders := make(chan string, 10)
	start := func(ctx context.Context, id string) {
		lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "go-leader", Namespace: namespace}, Client: client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: id}}
		go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 200 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { holders <- id }, OnStoppedLeading: func() {}},
		})
	}
	first, resign := context.WithCancel(ctx)
	start(first, "first")
	check(<-holders == "first", "somebody else leads")
	start(ctx, "second")
	select {
	case id := <-holders:
		panic(id + " leads beside the first")
	case <-time.After(time.Second):
	}
	resign()
	check(<-holders == "second", "the lease did not change hands")
	ok("leader election")
}

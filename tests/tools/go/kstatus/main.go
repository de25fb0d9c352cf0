// Kstatus reads one object in JSON, and prints what kstatus says of it: what Flux, kpt and `kubectl apply` tools wait for.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	object := &unstructured.Unstructured{}
	if err := json.NewDecoder(os.Stdin).Decode(&object.Object); err != nil {
		log.Fatalf("kstatus: standard input is not one object in JSON: %v", err)
	}
	result, err := status.Compute(object)
	if err != nil {
		log.Fatalf("kstatus: %v", err)
	}
	fmt.Println(result.Status)
}

// Kstatus reads one object in JSON, and prints what kstatus makes of it: what Flux and kpt wait for.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatalf("kstatus: standard input cannot be read: %v", err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(input); err != nil {
		log.Fatalf("kstatus: standard input is not one object in JSON: %v", err)
	}
	result, err := status.Compute(object)
	if err != nil {
		log.Fatalf("kstatus: %v", err)
	}
	fmt.Println(result.Status)
}

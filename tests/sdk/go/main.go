// Drives the unmodified Harness Go server SDK: commands as JSON lines on stdin, answers as JSON lines on stdout, all else
// on stderr. Environment: RELAY_URL, SDK_KEY, INIT_TIMEOUT_SECONDS.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	harness "github.com/harness/ff-golang-server-sdk/client"
	"github.com/harness/ff-golang-server-sdk/evaluation"
	"github.com/harness/ff-golang-server-sdk/types"
)

const hourSeconds = 3600

type command struct {
	Command string          `json:"command"`
	Flag    string          `json:"flag"`
	Kind    string          `json:"kind"`
	Target  target          `json:"target"`
	Default json.RawMessage `json:"default"`
}

type target struct {
	Identifier string                 `json:"identifier"`
	Name       string                 `json:"name"`
	Attributes map[string]interface{} `json:"attributes"`
}

func main() {
	// Whatever the SDK or its dependencies print must not mix with the answers.
	answers := json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr
	answer := func(line map[string]any) {
		if err := answers.Encode(line); err != nil {
			fmt.Fprintln(os.Stderr, "answer:", err)
		}
	}

	client, err := initialise()
	if err != nil {
		answer(map[string]any{"event": "failed", "error": err.Error()})
	} else {
		answer(map[string]any{"event": "ready"})
	}

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var next command
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			fmt.Fprintln(os.Stderr, "command:", err)
			os.Exit(1)
		}
		switch next.Command {
		case "variation":
			answer(map[string]any{"event": "value", "value": variation(client, next)})
		case "close":
			closeClient(client)
			return
		}
	}
	closeClient(client)
}

type outcome struct {
	client *harness.CfClient
	err    error
}

func initialise() (*harness.CfClient, error) {
	relay := os.Getenv("RELAY_URL")
	done := make(chan outcome, 1)
	go func() {
		client, err := harness.NewCfClient(os.Getenv("SDK_KEY"),
			harness.WithURL(relay),
			harness.WithEventsURL(relay),
			harness.WithStreamEnabled(true),
			harness.WithPullInterval(hourSeconds), // so that a change can only come through the stream
			harness.WithStoreEnabled(false),
			harness.WithWaitForInitialized(true),
		)
		done <- outcome{client, err}
	}()
	seconds, err := strconv.Atoi(os.Getenv("INIT_TIMEOUT_SECONDS"))
	if err != nil {
		seconds = 30
	}
	select {
	case result := <-done:
		return result.client, result.err
	case <-time.After(time.Duration(seconds) * time.Second):
		return nil, errors.New("not initialised in time")
	}
}

// variation gives the default where the SDK does: an error beside a value only explains it.
func variation(client *harness.CfClient, next command) any {
	var fallback any
	if err := json.Unmarshal(next.Default, &fallback); err != nil || client == nil {
		return fallback
	}
	who := &evaluation.Target{Identifier: next.Target.Identifier, Name: next.Target.Name, Attributes: &next.Target.Attributes}
	var value any
	var err error
	switch next.Kind {
	case "boolean":
		value, err = client.BoolVariation(next.Flag, who, fallback.(bool))
	case "string":
		value, err = client.StringVariation(next.Flag, who, fallback.(string))
	case "number":
		value, err = client.NumberVariation(next.Flag, who, fallback.(float64))
	case "json":
		value, err = client.JSONVariation(next.Flag, who, types.JSON(fallback.(map[string]any)))
	default:
		err = fmt.Errorf("unknown kind %q", next.Kind)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, next.Flag, err)
	}
	return value
}

func closeClient(client *harness.CfClient) {
	if client == nil {
		return
	}
	if err := client.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close:", err)
	}
}

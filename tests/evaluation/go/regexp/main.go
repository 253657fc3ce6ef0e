// Answers what Go's own packages say, for the tests that compare with them.
//
//	reference match    reads {"pattern":…,"texts":[…]} a line, writes {"ok":…,"matches":[…]} a line
//	reference folding  writes, for every character that has others equal but for case, the smallest of them
//	reference equal    reads [a, b] a line, writes whether strings.EqualFold says they are equal
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"unicode"
)

type question struct {
	Pattern string   `json:"pattern"`
	Texts   []string `json:"texts"`
}

type answer struct {
	OK      bool   `json:"ok"`
	Matches []bool `json:"matches"`
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch os.Args[1] {
	case "match":
		lines(func(line []byte) {
			var q question
			if err := json.Unmarshal(line, &q); err != nil {
				panic(err)
			}
			a := answer{Matches: []bool{}}
			if re, err := regexp.Compile(q.Pattern); err == nil {
				a.OK = true
				for _, text := range q.Texts {
					a.Matches = append(a.Matches, re.MatchString(text))
				}
			}
			encoded, _ := json.Marshal(a)
			fmt.Fprintf(out, "%s\n", encoded)
		})
	case "folding":
		for r := rune(0); r <= unicode.MaxRune; r++ {
			smallest := r
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				smallest = min(smallest, f)
			}
			if unicode.SimpleFold(r) != r {
				fmt.Fprintln(out, r, smallest)
			}
		}
	case "equal":
		lines(func(line []byte) {
			var pair [2]string
			if err := json.Unmarshal(line, &pair); err != nil {
				panic(err)
			}
			fmt.Fprintln(out, strings.EqualFold(pair[0], pair[1]))
		})
	}
}

func lines(each func([]byte)) {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	for in.Scan() {
		each(in.Bytes())
	}
}

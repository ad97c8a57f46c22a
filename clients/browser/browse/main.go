// Browse opens an address as [browser.Person.Open] does and ends when the person
// is through with it. Clients take it for the browser where BROWSER names it.
//
//	browse URL
//
// Who the person is is told by BROWSE_NAME and BROWSE_PASSWORD.
package main

import (
	"context"
	"fmt"
	"os"

	"wigwag/clients/browser"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: browse URL")
		os.Exit(2)
	}
	person := browser.Person{Name: os.Getenv("BROWSE_NAME"), Password: os.Getenv("BROWSE_PASSWORD")}
	if _, err := person.Open(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "browse:", err)
		os.Exit(1)
	}
}

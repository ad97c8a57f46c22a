package browser

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
)

// A form is what a page wants to have filled in.
type form struct {
	method, action string
	values         url.Values // what is sent if nobody types anything and the first button is pressed
	typed          []string   // names of the fields to type in
}

// firstForm returns the first form of a page, or nil where there is none. It
// reads HTML in which every element is closed, but for those that never are.
func firstForm(page string) (*form, error) {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var f *form
	pressed := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && f == nil {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the page is not well-formed: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch a := attributes(t); {
			case t.Name.Local == "form" && f == nil:
				f = &form{method: strings.ToLower(a["method"]), action: a["action"], values: url.Values{}}
			case t.Name.Local == "input" && f != nil:
				f.add(a)
			case t.Name.Local == "button" && f != nil && !pressed:
				pressed = true
				if a["name"] != "" {
					f.values.Add(a["name"], a["value"])
				}
			}
		case xml.EndElement:
			if t.Name.Local == "form" && f != nil {
				return f, nil
			}
		}
	}
}

// add takes an input element in.
func (f *form) add(a map[string]string) {
	_, checked := a["checked"]
	switch kind := strings.ToLower(a["type"]); {
	case a["name"] == "":
	case kind == "checkbox" && !checked:
	case kind == "checkbox", kind == "hidden":
		f.values.Add(a["name"], a["value"])
	case slices.Contains([]string{"", "text", "password"}, kind):
		f.values.Add(a["name"], a["value"])
		f.typed = append(f.typed, a["name"])
	}
}

// typeIn fills fields in, if they are to be typed in.
func (f *form) typeIn(values map[string]string) {
	for _, name := range f.typed {
		if value, ok := values[name]; ok {
			f.values.Set(name, value)
		}
	}
}

func attributes(e xml.StartElement) map[string]string {
	a := make(map[string]string, len(e.Attr))
	for _, attr := range e.Attr {
		a[strings.ToLower(attr.Name.Local)] = attr.Value
	}
	return a
}

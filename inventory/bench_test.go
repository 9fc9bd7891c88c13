package inventory

import (
	"testing"
)

// BenchmarkPlan10000 is all that comes before the first connection to 10,000 hosts in three
// roles: reading the commit with Python, choosing, and the order of the canary.
func BenchmarkPlan10000(b *testing.B) {
	repo, commit := testRepo(b, map[string]string{"deploy.py": `import troops
for role in ('web', 'db', 'cache'):
    troops.define_role(role, hosts=[f'{role}-{i}.example.com' for i in range(3334 if role == 'web' else 3333)])
`})
	b.ReportAllocs()
	for b.Loop() {
		inv, err := Read(b.Context(), repo, commit, Options{})
		if err != nil {
			b.Fatal(err)
		}
		entries, err := inv.Select(Selection{})
		if err != nil || len(CanaryOrder(entries, nil)) != 10_000 {
			b.Fatalf("%d entries, %v", len(entries), err)
		}
	}
}

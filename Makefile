# Words for daily work. Each tier prints its seconds; docs/testing.md has the budgets. Machines without make: ./run-tests.
.PHONY: build check test integration guests integration-xen soak bench bench-live bench-sweep bench-compare fuzz model demo format deb deb-trial

build check test integration guests integration-xen soak bench bench-live bench-sweep bench-compare fuzz model format deb deb-trial:
	@scripts/tier $@

demo:
	@./demo

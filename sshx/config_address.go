package sshx

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// canonicalName is the name that ssh goes on with: in lower case, or, where it is an IP
// address in whatever spelling, as that address is usually written. family is that of
// AddressFamily: an address of the other one is left as it stands.
func canonicalName(name, family string) string {
	if strings.ContainsAny(name, ":%") {
		if strings.EqualFold(family, "inet") {
			return name
		}
		return canonicalIPv6(name)
	}
	if addr, ok := parseIPv4(name); ok && !strings.EqualFold(family, "inet6") {
		return addr.String()
	}
	return strings.ToLower(name)
}

// canonicalIPv6 writes an IPv6 address as getnameinfo(3) does, with the name of its zone
// in place of the number. What is none stays as it is.
func canonicalIPv6(name string) string {
	addr, err := netip.ParseAddr(name)
	if err != nil || addr.Is4() {
		return name
	}
	zone := addr.Zone()
	if zone == "" {
		return addr.String()
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	if !addr.IsLinkLocalUnicast() && !addr.IsInterfaceLocalMulticast() && !addr.IsLinkLocalMulticast() {
		if err != nil || index == 0 {
			return name // only such addresses have zones with names
		}
		return addr.WithZone(strconv.FormatUint(index, 10)).String()
	}
	if iface, lookupErr := net.InterfaceByName(zone); lookupErr == nil {
		return addr.WithZone(iface.Name).String()
	}
	if err != nil {
		return name
	}
	if iface, err := net.InterfaceByIndex(int(index)); err == nil {
		return addr.WithZone(iface.Name).String()
	}
	return addr.String()
}

// parseIPv4 reads the spellings of inet_aton(3): one to four numbers, decimal, octal or
// hexadecimal, of which the last fills the bytes that are left.
func parseIPv4(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if s == "" || len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, p := range parts {
		if p == "" || p[0] == '+' || strings.Contains(p, "_") || len(p) > 1 && strings.ContainsRune("bBoO", rune(p[1])) {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(p, 0, 32)
		left := 8 // bits of this part
		if i == len(parts)-1 {
			left = 8 * (5 - len(parts))
		}
		if err != nil || n>>left != 0 {
			return netip.Addr{}, false
		}
		sum = sum<<left | n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

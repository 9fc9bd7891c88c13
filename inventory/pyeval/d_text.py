# Formatting, with fields and widths looked at before Python's own formatting is used:
# str.format can reach attributes, and a width can ask for gigabytes.

import _string
import re

WIDE = re.compile(r"\d{5}|\*")
SIMPLE = (str, int, float, bool, type(None))

STR_METHODS = frozenset("""capitalize casefold center count encode endswith expandtabs find format format_map
index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper
join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip
split splitlines startswith strip swapcase title upper zfill""".split())


def showable(v):
    """Whether Python's own formatting of v tells nothing but v."""
    if isinstance(v, (list, tuple)):
        return all(showable(x) for x in v)
    if isinstance(v, dict):
        return all(showable(k) and showable(x) for k, x in v.items())
    if isinstance(v, (set, frozenset)):
        return len(v) < 2 and all(showable(x) for x in v)
    return isinstance(v, SIMPLE)


def need_showable(v):
    if not showable(v):
        raise TooBig("the text of this value is not evaluated")
    return v


def percent(fmt, args):
    """fmt % args."""
    need_showable(args)
    if any(WIDE.search(m) for m in re.findall(r"%(?:\([^)]*\))?([^a-zA-Z%]*)", fmt)):
        raise TooBig
    shown = args if isinstance(args, tuple) else args.values() if isinstance(args, dict) else [args]
    longest = max([len(v) if isinstance(v, str) else len(repr(v)) for v in shown] or [0])
    if len(fmt) + fmt.count("%") * longest > MAX_TEXT:
        raise TooBig
    return fmt % args


def format_value(v, conversion, spec):
    """One replacement field; conversion is s, r, a or empty."""
    need_showable(v)
    if WIDE.search(spec):
        raise TooBig
    if conversion == "r":
        v = repr(v)
    elif conversion == "a":
        v = ascii(v)
    elif conversion == "s":
        v = str(v)
    return format(v, spec)


def format_text(fmt, args, kwargs, depth=0):
    """fmt.format(*args, **kwargs) without attributes; indexes only."""
    if depth > 2:
        raise ValueError("Max string recursion exceeded")
    out, auto, size = [], 0, 0
    for literal, field, spec, conversion in _string.formatter_parser(fmt):
        out.append(literal)
        if field is None:
            continue
        first, rest = _string.formatter_field_name_split(field)
        if first == "":
            first, auto = auto, auto + 1
        v = args[first] if isinstance(first, int) else kwargs[first]
        for is_attr, key in rest:
            if is_attr or not isinstance(v, (list, tuple, dict)):
                raise TooBig("attributes in a format are not evaluated")
            v = v[key]
        if "{" in spec:
            # Fields inside a spec go on counting; named ones and numbers are enough here.
            spec = format_text(spec.replace("{}", "{%d}" % auto), args, kwargs, depth + 1)
            auto += 1
        out.append(format_value(v, conversion or "", spec))
        size += len(literal) + len(out[-1])
        if size > MAX_TEXT:
            raise TooBig
    return "".join(out)


class Text:
    """Methods of strings."""

    def str_method(self, s, name, args, kwargs):
        args = [self.plain(a) for a in args]
        kwargs = {k: self.plain(v) for k, v in kwargs.items()}
        self.charge(len(s) // 64)
        if name == "format":
            return format_text(s, args, kwargs)
        if name == "format_map":
            return format_text(s, [], args[0])
        if name in ("removeprefix", "removesuffix") and len(args) == 1 and isinstance(args[0], str):
            affix = args[0]
            if name == "removeprefix":
                return s[len(affix):] if s.startswith(affix) else s
            return s[:len(s) - len(affix)] if affix and s.endswith(affix) else s
        if any(isinstance(a, int) and abs(a) > MAX_BITS for a in args) and name in ("center", "ljust", "rjust", "zfill", "expandtabs"):
            raise TooBig
        if name == "expandtabs" and s.count("\t") * (args[0] if args else 8) > MAX_TEXT:
            raise TooBig
        if name == "join" and args and isinstance(args[0], (set, frozenset)) and len(args[0]) > 1:
            raise TooBig("the order of a set is not known")
        if name == "join" and args and isinstance(args[0], (list, tuple)):
            if sum(len(x) + len(s) for x in args[0] if isinstance(x, str)) > MAX_TEXT:
                raise TooBig
        if name == "replace" and len(args) > 1 and isinstance(args[1], str):
            if isinstance(args[0], str) and len(s) + s.count(args[0]) * len(args[1]) > MAX_TEXT:
                raise TooBig
        return self.wrap(getattr(s, name)(*args, **kwargs))

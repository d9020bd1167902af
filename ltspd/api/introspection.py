"""What Introspect() answers for a path: the contract's interfaces, the standard ones, the children."""

from collections.abc import Mapping
from functools import cache

from ltspd.api.contract import Interface, parse
from ltspd.api.tree import Tree
from ltspd.names import ROOT_PATH

HEAD = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '  "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)

# The standard interfaces as the D-Bus specification defines them.
STANDARD = """<node>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
    <method name="GetMachineId"><arg name="machine_uuid" type="s" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect"><arg name="xml_data" type="s" direction="out"/></method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="props" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
  <interface name="org.freedesktop.DBus.ObjectManager">
    <method name="GetManagedObjects">
      <arg name="objpath_interfaces_and_properties" type="a{oa{sa{sv}}}" direction="out"/>
    </method>
    <signal name="InterfacesAdded">
      <arg name="object_path" type="o"/>
      <arg name="interfaces_and_properties" type="a{sa{sv}}"/>
    </signal>
    <signal name="InterfacesRemoved">
      <arg name="object_path" type="o"/>
      <arg name="interfaces" type="as"/>
    </signal>
  </interface>
</node>"""

PEER = "org.freedesktop.DBus.Peer"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"


@cache
def standard() -> Mapping[str, Interface]:
    """Return the standard interfaces by name."""
    return parse(STANDARD)


def interface_names(tree: Tree, path: str) -> tuple[str, ...]:
    """Return the interfaces of a path; empty if there is neither an object nor one below it."""
    if path in tree:
        manager = (OBJECT_MANAGER,) if path == ROOT_PATH else ()
        return (PEER, INTROSPECTABLE, PROPERTIES, *manager, *tree[path])
    prefix = path.rstrip("/") + "/"
    return (PEER, INTROSPECTABLE) if any(each.startswith(prefix) for each in tree) else ()


def introspect(tree: Tree, path: str, known: Mapping[str, Interface]) -> str:
    """Return the document for a path that ``interface_names`` knows."""
    everything = {**standard(), **known}
    prefix = path.rstrip("/") + "/"
    children = sorted({each[len(prefix) :].split("/", 1)[0] for each in tree if each.startswith(prefix)})
    parts = [everything[name].xml for name in interface_names(tree, path)]
    parts += [f'<node name="{child}"/>' for child in children]
    return HEAD + "<node>\n" + "\n".join(parts) + "\n</node>\n"

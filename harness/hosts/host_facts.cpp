#include "harness/hosts/host_facts.h"

#include <sstream>

#include "core/base/untrusted.h"
#include "harness/ground/interfaces.h"

namespace bakeoff {
namespace {

using nlohmann::json;

std::vector<std::string> words_in(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// The word behind that one; empty when there is none.
std::string word_after(const std::vector<std::string>& words, const std::string& label) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == label) return words[i + 1];
  return {};
}

}  // namespace

// A line each: a label, a tab, and what there is to say. /sys may be another network's; ip asks the kernel.
std::string facts_script() {
  return R"sh(say() { printf '%s\t%s\n' "$1" "$2"; }
say kernel "$(uname -sr)"
say machine "$(uname -m)"
say cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
say processors "$(nproc)"
say memory_kb "$(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
for name in tcp_congestion_control tcp_rmem tcp_wmem ip_local_port_range; do
  say "$name" "$(cat /proc/sys/net/ipv4/$name 2>/dev/null)"
done
say mpi "$(mpirun --version 2>/dev/null | head -n 1)"
ip -o link show 2>/dev/null | while read -r line; do say link "$line"; done
ip -o addr show 2>/dev/null | while read -r line; do say address "$line"; done
for folder in /sys/class/net/*; do
  name=${folder##*/}
  # A folder may be that of another network's interface of the same name.
  number=$(ip -o link show dev "$name" 2>/dev/null | cut -d: -f1)
  [ "$number" = "$(cat "$folder/ifindex" 2>/dev/null)" ] || continue
  [ -e "$folder/device/driver" ] && say driver "$name $(basename "$(readlink "$folder/device/driver")")"
  command -v ethtool >/dev/null || continue
  ethtool -k "$name" 2>/dev/null | sed -n 's/^\([a-z]*-[a-z]*-offload\): *\([a-z]*\).*/\1 \2/p' |
    while read -r line; do say offload "$name $line"; done
done
exit 0
)sh";
}

json facts_of(const std::string& printed, const std::string& network) {
  json facts = json::object();
  std::vector<std::vector<std::string>> links, drivers, offloads;
  std::string interface;
  std::istringstream lines(printed);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const std::string label = line.substr(0, tab), text = visible(line.substr(tab + 1));
    const std::vector<std::string> words = words_in(text);
    if (label == "link") {
      links.push_back(words);
    } else if (label == "driver") {
      drivers.push_back(words);
    } else if (label == "offload") {
      offloads.push_back(words);
    } else if (label == "address") {  // "2: eth0    inet 10.0.0.2/24 brd ..."
      const std::string address = word_after(words, words.size() > 2 ? words[2] : "inet");
      if (interface.empty() && words.size() > 1 && is_in_network(address.substr(0, address.find('/')), network)) {
        interface = words[1];
        facts["address"] = address.substr(0, address.find('/'));
      }
    } else {
      facts[label] = text.empty() ? json() : json(text);
    }
  }
  if (!facts.contains("address")) facts["address"] = nullptr;
  json nic = nullptr;
  if (!interface.empty()) {
    nic = {{"name", interface}, {"mtu", nullptr}, {"driver", nullptr}, {"offloads", json::object()}};
    for (const auto& words : links) {  // "2: eth0@if5: <...> mtu 1500 ..."
      if (words.size() < 2) continue;
      const std::string name = words[1].substr(0, words[1].find_first_of("@:"));
      if (const std::string mtu = word_after(words, "mtu"); name == interface && !mtu.empty()) nic["mtu"] = mtu;
    }
    for (const auto& words : drivers)
      if (words.size() == 2 && words[0] == interface) nic["driver"] = words[1];
    for (const auto& words : offloads)
      if (words.size() == 3 && words[0] == interface) nic["offloads"][words[1]] = words[2];
  }
  facts["interface"] = nic;
  return facts;
}

std::vector<std::string> differences(const std::map<std::string, json>& facts) {
  const auto text = [](const json& value) {
    return value.is_string() ? value.get<std::string>() : value.is_null() ? std::string("unknown") : value.dump();
  };
  std::vector<std::string> found;
  const auto compare = [&](const std::string& what, const auto& get) {
    std::map<std::string, std::string> hosts_by_value;
    for (const auto& [host, known] : facts) {
      std::string& hosts = hosts_by_value[text(get(known))];
      hosts += (hosts.empty() ? "" : ", ") + host;
    }
    if (hosts_by_value.size() < 2) return;
    std::string sentence = "the hosts differ in " + what + ":";
    const char* mark = " ";
    for (const auto& [value, hosts] : hosts_by_value) {
      sentence += mark + value + " (" + hosts + ")";
      mark = ", ";
    }
    found.push_back(sentence);
  };
  const auto fact = [](const char* name) { return [name](const json& known) { return known.value(name, json()); }; };
  const auto of_interface = [](const char* name) {
    return [name](const json& known) {
      const json nic = known.value("interface", json());
      return nic.is_object() ? nic.value(name, json()) : json();
    };
  };
  compare("kernel", fact("kernel"));
  compare("processor", fact("cpu"));
  compare("number of processors", fact("processors"));
  compare("congestion control", fact("tcp_congestion_control"));
  compare("TCP's receive buffers", fact("tcp_rmem"));
  compare("TCP's send buffers", fact("tcp_wmem"));
  compare("MTU", of_interface("mtu"));
  compare("network adapter", of_interface("driver"));
  compare("offloads", of_interface("offloads"));
  return found;
}

}  // namespace bakeoff

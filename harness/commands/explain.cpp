#include "harness/commands/explain.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/base/data_dir.h"
#include "core/base/errors.h"
#include "core/toml/strict_toml.h"
#include "harness/commands/command_line.h"
#include "harness/ground/programs.h"
#include "harness/plan/outside.h"
#include "harness/plan/preset.h"
#include "harness/plan/specification.h"
#include "workloads/workload.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

std::filesystem::path sources_dir() { return data_dir() / "architectures"; }

std::filesystem::path source_of(std::string architecture) {
  std::replace(architecture.begin(), architecture.end(), '-', '_');
  return sources_dir() / (architecture + ".cpp");
}

// The comment at the top of an architecture's file, up to its picture: who waits, what is shared, what can block.
std::string head_comment(const std::string& architecture) {
  std::ifstream in(source_of(architecture));
  std::string text, line;
  bool begun = false;
  while (std::getline(in, line) && line.starts_with("//")) {
    const std::string said = line.size() > 3 ? line.substr(3) : "";
    if (said.empty() && begun) break;  // the picture is next
    if (said.empty()) begun = true;
    text += said.empty() ? "\n" : said + "\n";
  }
  return text;
}

std::string joined(const nlohmann::json& values) {
  std::string all;
  for (const nlohmann::json& value : values) all += (all.empty() ? "" : ", ") + value.get<std::string>();
  return all;
}

}  // namespace

void check_is_server(const Programs& programs, const std::string& name) {
  try {
    programs.find(name);
    return;
  } catch (const UsageError&) {
  }
  const auto is_among = [&](const auto& list) {
    return std::any_of(list.begin(), list.end(), [&](const auto& one) { return one.name == name; });
  };
  const std::string what = "`" + name + "` is ";
  if (is_among(list_experiments()))
    throw UsageError(what + "an experiment; see bakeoff plan " + name + ", and " +
                     (experiments_dir() / (name + ".toml")).string());
  if (is_among(list_workloads()))
    throw UsageError(what + "a workload; see workloads/README.md and " + (workloads_dir() / (name + ".toml")).string());
  if (is_among(list_outside()))
    throw UsageError(what + "a server of others; see " + (outside_dir() / (name + ".toml")).string());
  std::vector<std::string> known = Programs::architectures();
  for (const Preset& preset : list_presets()) known.push_back(preset.name);
  const std::string near = nearest_word(name, known);
  throw UsageError("there is no preset or architecture `" + name + "`; " +
                   (near.empty() ? "see bakeoff list presets architectures" : "did you mean `" + near + "`?"));
}

std::string explanation(Reactor& reactor, const std::string& name) {
  const auto preset = find_preset(name);
  const std::string architecture = preset ? preset->architecture : name;
  Programs programs(reactor);
  if (!preset) check_is_server(programs, name);
  const nlohmann::json& description = programs.describe(architecture);
  std::string text = name;
  if (preset) {
    text += ": " + preset->description + "\npaper: " + preset->paper + ", " + preset->section +
            "\narchitecture: " + architecture;
  } else {
    text += ": an architecture";
  }
  text += ", after " + description.value("paper", "") + "\n";
  std::string built_on_it;
  for (const Preset& one : list_presets()) {
    if (one.architecture == name) built_on_it += (built_on_it.empty() ? "" : ", ") + one.name;
  }
  if (!preset && !built_on_it.empty()) text += "presets of it: " + built_on_it + "\n";
  const std::string comment = head_comment(architecture);
  text += comment.empty() ? "" : "\n" + comment;
  const auto sets = [&](const std::string& key) {
    return preset && std::any_of(preset->options.begin(), preset->options.end(),
                                 [&](const auto& option) { return option.first == key; });
  };
  std::string command = architecture;
  if (preset) {
    text += "\nIt sets\n";
    for (const auto& [key, value] : preset->options) {
      text += "  --" + key + " " + value + "\n";
      command.append(" --").append(key).append(" ").append(value);
    }
  }
  text += preset ? "and leaves\n" : "\nTo choose from, the default first\n";
  const nlohmann::json& workers = description.at("workers");
  if (!sets("workers")) {
    text += "  --workers: " + workers.value("meaning", "") + ", " + std::to_string(workers.value("min", 1)) + " to " +
            std::to_string(workers.value("max", 1)) + ", " + std::to_string(workers.value("default", 1)) +
            " by default\n";
  }
  for (const auto& [key, values] : description.at("options").items()) {
    if (values.is_array() && !values.empty() && !sets(key)) text += "  --" + key + ": " + joined(values) + "\n";
  }
  text += "  caches, time-outs, backlog and the rest: bakeoff serve " + name + " --help\n";
  return text + "\nCommand line: " + command + " --root DIR --port 8080\n";
}

int explain_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("explain", arguments, options, 1, given)) return exit_status::fine;
  std::cout << explanation(reactor, word(given, 0, "explain", "a preset or an architecture")) << std::flush;
  return exit_status::fine;
}

// A line in architectures/CMakeLists.txt and a file: all that an architecture is.
int new_command(Reactor&, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("new", arguments, options, 2, given)) return exit_status::fine;
  const std::string kind = word(given, 0, "new", "architecture NAME");
  if (kind != "architecture") throw UsageError("bakeoff new: `" + kind + "`: expected architecture NAME");
  const std::string name = word(given, 1, "new", "the architecture's name");
  const bool plain = !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
                     name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  if (!plain) throw UsageError("bakeoff new: `" + name + "`: expected a name of a-z, 0-9 and -, as my-server");
  const std::filesystem::path source = source_of(name), list = sources_dir() / "CMakeLists.txt",
                              shape = sources_dir() / "template.cpp.in";
  if (std::filesystem::exists(source)) throw UsageError("bakeoff new: " + source.string() + " is there already");
  const auto read = [](const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw StartError("cannot read " + file.string() + "; a new architecture is written into the source tree");
    return std::string{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  };
  std::string text = read(shape), entries = read(list);
  for (std::size_t at = 0; (at = text.find("@NAME@", at)) != std::string::npos; at += name.size())
    text.replace(at, 6, name);
  entries += "add_architecture(" + name + ")\n";
  const auto write = [](const std::filesystem::path& file, const std::string& contents) {
    std::ofstream out(file, std::ios::binary);
    out << contents;
    if (!out.flush()) throw StartError("cannot write " + file.string());
  };
  write(source, text);
  write(list, entries);
  std::cout << source.string() << ": the smallest server that passes the conformance suite, one event loop\n"
            << list.string() << ": add_architecture(" << name
            << ")\n"
               "Read architectures/README.md (what is shared, and how each of the others waits) and core/reference.md "
               "(what an\n"
               "architecture may call), then architectures/sped.cpp. Test it with ./bakeoff test -R "
            << name << "\n"
            << std::flush;
  return exit_status::fine;
}

}  // namespace bakeoff

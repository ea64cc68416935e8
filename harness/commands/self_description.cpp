#include "harness/commands/self_description.h"

#include <algorithm>
#include <iostream>
#include <sstream>

#include "core/base/errors.h"
#include "harness/commands/command_line.h"
#include "results/comparison.h"
#include "results/export.h"

namespace bakeoff {
namespace {

namespace po = boost::program_options;

std::string words_of(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all.append(all.empty() ? "" : " ").append(word);
  return all;
}

// The shell's expression for what can stand for a placeholder: SPEC, DIR, FILE ...; empty: nothing is known of it.
std::string candidates(const std::string& placeholder) {
  if (placeholder == "SPEC")
    return "$(compgen -W \"$(_bakeoff_names experiments)\" -- \"$cur\") $(compgen -f -X '!*.toml' -- \"$cur\") "
           "$(compgen -d -- \"$cur\")";
  if (placeholder == "PRESET|ARCHITECTURE")
    return "$(compgen -W \"$(_bakeoff_names architectures) $(_bakeoff_names presets)\" -- \"$cur\")";
  if (placeholder == "DIR" || placeholder == "RUN" || placeholder == "RUN...") return "$(compgen -d -- \"$cur\")";
  if (placeholder == "FILE") return "$(compgen -f -- \"$cur\")";
  std::vector<std::string> words;
  if (placeholder == "FORMAT") {
    words.emplace_back("html");
    for (const ExportFormat& format : export_formats()) words.emplace_back(format.name);
  } else if (placeholder == "FIGURE_FORMAT") {
    words = {"svg", "pdf"};
  } else if (placeholder.starts_with("FIGURE")) {
    for (const MetricName& metric : metric_table) {
      if (can_be_guarded(metric)) words.push_back(path_of(metric));
    }
  } else if (!placeholder.empty() && placeholder.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ.-") == std::string::npos) {
    std::istringstream in(placeholder);  // words themselves: "architectures|presets"
    for (std::string word; std::getline(in, word, '|');) words.push_back(word);
  }
  return words.empty() ? "" : std::string("$(compgen -W \"").append(words_of(words)).append("\" -- \"$cur\")");
}

// Of "--baseline DIR SPEC | RUN [--out DIR]" the words that stand without an option: SPEC and RUN.
std::vector<std::string> plain_words(const std::string& arguments) {
  std::vector<std::string> words;
  std::istringstream in(arguments);
  bool after_option = false;
  for (std::string word; in >> word;) {
    std::string bare;
    for (const char c : word) bare += c == '[' || c == ']' ? std::string() : std::string(1, c);
    if (bare.starts_with("--")) {
      after_option = !word.ends_with("]");
      continue;
    }
    if (!after_option && bare != "|" && bare != "...") words.push_back(bare);
    after_option = false;
  }
  return words;
}

std::string roff(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
  return escaped.starts_with('.') || escaped.starts_with('\'') ? escaped.insert(0, "\\&") : escaped;
}

}  // namespace

std::string bash_completion(Reactor& reactor) {
  std::vector<std::string> names;
  std::ostringstream words, options, values;  // arms of the script's three `case`s
  for (const SubCommand& command : sub_commands()) {
    names.emplace_back(command.name);
    std::vector<std::string> own;
    for (const OptionInfo& option : options_of(reactor, command)) {
      own.push_back(std::string("--").append(option.name));
      if (option.value.empty()) continue;
      values << "    " << command.name << ",--" << option.name << ") COMPREPLY=(" << candidates(option.value)
             << "); return ;;\n";
    }
    if (!own.empty())
      options << "      " << command.name << ") COMPREPLY=($(compgen -W \"" << words_of(own) << "\" -- \"$cur\")) ;;\n";
    std::vector<std::string> some;
    for (const std::string& word : plain_words(command.arguments)) {
      const std::string more = candidates(word);
      if (!more.empty() && std::find(some.begin(), some.end(), more) == some.end()) some.push_back(more);
    }
    if (!some.empty()) words << "    " << command.name << ") COMPREPLY=(" << words_of(some) << ") ;;\n";
  }
  std::ostringstream script;
  script << "# bash completion for bakeoff; made by `bakeoff completion bash`\n"
            "_bakeoff_names() { \"${COMP_WORDS[0]}\" list \"$1\" 2>/dev/null | cut -d ' ' -f 1; }\n"
            "_bakeoff() {\n"
            "  local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}\n"
            "  COMPREPLY=()\n"
            "  if ((COMP_CWORD == 1)); then\n"
            "    COMPREPLY=($(compgen -W \""
         << words_of(names)
         << " --help\" -- \"$cur\"))\n"
            "    return\n"
            "  fi\n"
            "  case $command,${COMP_WORDS[COMP_CWORD - 1]} in\n"
         << values.str()
         << "  esac\n"
            "  if [[ $cur == -* ]]; then\n"
            "    case $command in\n"
         << options.str()
         << "    esac\n"
            "    return\n"
            "  fi\n"
            "  case $command in\n"
         << words.str()
         << "  esac\n"
            "}\n"
            "complete -o filenames -F _bakeoff bakeoff\n";
  return script.str();
}

std::string manual_page(Reactor& reactor) {
  std::ostringstream page;
  page << ".TH BAKEOFF 1 \"\" bakeoff \"User Commands\"\n"
          ".SH NAME\nbakeoff \\- compare server architectures\n"
          ".SH SYNOPSIS\n.B bakeoff\n.I COMMAND\n.RI [ ARGUMENTS ]\n"
          ".SH DESCRIPTION\n"
          "Every server answers the same requests from the same files through the same core; what differs between two "
          "servers is who waits, and\n"
          "where. bakeoff runs them interleaved, checks every byte before it measures, and says how sure its tables "
          "are.\n"
          ".SH COMMANDS\n";
  for (const SubCommand& command : sub_commands()) {
    page << ".SS \"" << command.name << (*command.arguments == '\0' ? "" : " ") << roff(command.arguments) << "\"\n"
         << roff(command.summary) << ".\n";
    for (const OptionInfo& option : options_of(reactor, command)) {
      page << ".TP\n.B ";
      if (!option.letter.empty()) page << "\\-" << option.letter << ", ";
      page << "\\-\\-" << roff(option.name);
      if (!option.value.empty()) page << " \\fI" << roff(option.value) << "\\fR";
      page << "\n" << roff(option.description) << "\n";
    }
  }
  page << ".SH EXIT STATUS\n";
  for (const auto& [status, meaning] : exit_statuses()) page << ".TP\n.B " << status << "\n" << roff(meaning) << "\n";
  page
      << ".SH ENVIRONMENT\n"
         ".TP\n.B NO_COLOR\nwhen it is set to anything, tables are not coloured.\n"
         ".TP\n.B BAKEOFF_BIN\nwhere server binaries and the load generator are (default: beside bakeoff itself).\n"
         ".TP\n.B BAKEOFF_FILES\nwhere file sets are made and reused (default: in the user's cache folder).\n"
         ".TP\n.B BAKEOFF_LOCKS\nwhere the locks on processors are, for all users (default: /tmp/bakeoff-processors).\n"
         ".SH OUTPUT\n"
         "JSON and what another program reads goes to standard output, everything said to a person to standard error: "
         "on a terminal one line\n"
         "with the time left, elsewhere a line a step.\n";
  return page.str();
}

int completion_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("completion", arguments, options, 1, given)) return exit_status::fine;
  const std::string shell = word(given, 0, "completion", "a shell: bash");
  if (shell != "bash") throw UsageError("bakeoff completion: " + shell + ": there is completion for bash only");
  std::cout << bash_completion(reactor) << std::flush;
  return exit_status::fine;
}

int man_command(Reactor& reactor, const Arguments& arguments) {
  po::options_description options("Options");
  po::variables_map given;
  if (!read_options("man", arguments, options, 0, given)) return exit_status::fine;
  std::cout << manual_page(reactor) << std::flush;
  return exit_status::fine;
}

}  // namespace bakeoff

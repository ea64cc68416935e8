#include "harness/hosts/remote_shell.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "core/base/errors.h"
#include "core/base/untrusted.h"

namespace bakeoff {
namespace {

// What it said last, without the noise of login scripts before it.
std::string last_words(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\r\n ");
  if (end == std::string::npos) return {};
  const std::size_t before = text.find_last_of('\n', end);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return visible(text.substr(begin, end + 1 - begin));
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

Command by_path(std::vector<std::string> words) {
  Command command{{"/bin/sh", "-c", "exec \"$@\"", "sh"}, {}};
  for (std::string& word : words) command.arguments.push_back(std::move(word));
  return command;
}

Command RemoteShell::command(const std::string& host, const std::string& script) const {
  std::vector<std::string> words = agent_;
  words.push_back(host);
  // ssh gives its words to the shell of the other host; srun executes them.
  if (agent_.front() == "srun" || agent_.front().ends_with("/srun")) words.insert(words.end(), {"/bin/sh", "-c"});
  words.push_back(script);
  return by_path(std::move(words));
}

std::string RemoteShell::line(const std::string& host, const std::string& script) const {
  std::string text;
  const Command remote = command(host, script);
  for (std::size_t i = 4; i < remote.arguments.size(); ++i) text += shell_quoted(remote.arguments[i]) + " ";
  return text;
}

std::vector<RemoteShell::Answer> RemoteShell::run(const std::vector<std::string>& hosts, const std::string& script,
                                                  double timeout_s, const std::string& from) const {
  std::vector<std::unique_ptr<Child>> children;
  for (const std::string& host : hosts) {
    const Command remote =
        from.empty() ? command(host, script) : Command{{"/bin/sh", "-c", from + " | " + line(host, script)}, {}};
    children.push_back(std::make_unique<Child>(reactor_, remote));
  }
  std::vector<Answer> answers;
  const SteadyTime deadline = after_s(timeout_s);
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    Child& child = *children[i];
    Answer answer{hosts[i], "", ""};
    if (!child.wait_for_end(deadline)) {
      answer.error = fmt::format("host {} did not answer within {:.0f} s", hosts[i], timeout_s);
    } else if (child.exit_status() != 0) {
      const std::string said = last_words(child.errors());
      answer.error =
          fmt::format("host {}: {}", hosts[i], said.empty() ? agent_.front() + ": " + child.how_it_ended() : said);
    } else {
      answer.output = child.rest_of_output();
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

std::vector<RemoteShell::Answer> RemoteShell::must_run(const std::vector<std::string>& hosts, const std::string& script,
                                                       double timeout_s, const std::string& from) const {
  std::vector<Answer> answers = run(hosts, script, timeout_s, from);
  for (const Answer& answer : answers)
    if (!answer.error.empty()) throw StartError(answer.error);
  return answers;
}

}  // namespace bakeoff

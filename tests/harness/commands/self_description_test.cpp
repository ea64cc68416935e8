#include "harness/commands/self_description.h"

#include "harness/commands/command_line.h"
#include "tests/catch.h"

using namespace bakeoff;

TEST_CASE("every command and option is in the manual page and in the completion") {
  Reactor reactor;
  const std::string page = manual_page(reactor), completion = bash_completion(reactor);
  for (const SubCommand& command : sub_commands()) {
    CAPTURE(command.name);
    CHECK(page.find(".SS \"" + std::string(command.name)) != std::string::npos);
    CHECK(completion.find(std::string(command.name)) != std::string::npos);
    for (const OptionInfo& option : options_of(reactor, command)) {
      CAPTURE(option.name);
      CHECK(completion.find("--" + option.name) != std::string::npos);
      CHECK_FALSE(option.description.empty());
    }
  }
  CHECK(page.find("\\-\\-resume") != std::string::npos);
  CHECK(page.find("\\-\\-out \\fIDIR\\fR") != std::string::npos);
  CHECK(page.find(".B 130\ninterrupted") != std::string::npos);
  CHECK(completion.find("compare,--by) COMPREPLY=($(compgen -W \"throughput_mbps ") != std::string::npos);
  CHECK(completion.find("report,--format) COMPREPLY=($(compgen -W \"html json csv ") != std::string::npos);
}

TEST_CASE("a command's options are those that its help shows") {
  Reactor reactor;
  for (const SubCommand& command : sub_commands()) {
    if (std::string(command.name) != "run") continue;
    const auto options = options_of(reactor, command);
    REQUIRE(options.size() >= 3);
    CHECK(options[0].name == "out");
    CHECK(options[0].value == "DIR");
    CHECK(options.back().name == "help");
    CHECK(options.back().letter == "h");
    CHECK(options.back().value.empty());
  }
}

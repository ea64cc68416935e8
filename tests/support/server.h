// One server binary as a child: started with options, ready when the constructor returns, watched from outside.
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/client.h"

namespace bakeoff::test {

// --name value, by name.
using Options = std::map<std::string, std::string>;

// The server ended, or said something else, instead of becoming ready.
struct NotReady : std::runtime_error {
  NotReady(const std::string& what, int its_status, std::string its_errors)
      : std::runtime_error(what), status(its_status), errors(std::move(its_errors)) {}
  int status;  // exit status; -1: it still ran
  std::string errors;
};

class Server {
 public:
  // Listens at a free port. Throws NotReady.
  Server(const std::string& binary, const std::string& root, const Options& options, Child::Settings settings = {});

  int port() const { return port_; }
  pid_t pid() const { return child_.pid(); }
  const nlohmann::json& ready_line() const { return ready_line_; }
  Child& process() { return child_; }

  Client connect(int receive_buffer_bytes = 0) const { return Client(port_, receive_buffer_bytes); }
  // One request over a connection of its own.
  Reply get(std::string_view target, std::string_view more_headers = "") const {
    return connect().get(target, more_headers);
  }

  struct Sockets {
    // One line for each connection that the server's processes hold open, accepted and not yet closed: both ports, the
    // state's number in the kernel, bytes that wait to be read and to be acknowledged.
    std::vector<std::string> held;
    std::size_t unread = 0;     // of those, with something that its process has not read
    std::size_t to_accept = 0;  // connections that wait for that, or broke off while they waited
  };
  Sockets sockets() const;
  std::size_t connections() const { return sockets().held.size(); }
  // Open descriptors over all its processes.
  std::size_t descriptors() const;
  // Of them, those of files below a directory.
  std::size_t open_files(const std::string& directory) const;
  std::size_t processes() const { return child_.group().size(); }

  struct Stopped {
    int status;                 // exit status; -1: it had to be killed
    nlohmann::json statistics;  // null when its last line was none
    std::string errors;         // standard error
    std::size_t left_running;   // processes of it that outlived it
  };
  // Sends SIGTERM and waits for the end.
  Stopped stop(int signal = SIGTERM);

 private:
  std::vector<std::string> held() const;  // what its processes' descriptors refer to

  Child child_;
  nlohmann::json ready_line_;
  int port_ = 0;
};

// The command line for a server binary.
std::vector<std::string> command_line(const std::string& binary, const std::string& root, const Options& options);

}  // namespace bakeoff::test

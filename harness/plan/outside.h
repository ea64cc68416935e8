// Servers of others, run beside our own: one TOML file each in harness/outside. The harness replaces these words in
// its arguments and files: @root@ @address@ @port@ @workers@ @connections@ @dir@ (a scratch directory of the server's
// own) @user@ (who runs the harness), and @KEY@ for each key of [options].
//     title = "nginx, configured as its friends would"
//     program = ["/usr/sbin/nginx"]           # whole paths; the first that is there
//     package = "nginx-light"                 # Debian's, for the message when none is; may be left out
//     arguments = ["-c", "@dir@/nginx.conf"]
//     workers = [1, 64]                       # least and most
//     connections_are_workers = true          # each worker holds one connection at a time; default: false
//     [files]
//     "nginx.conf" = """..."""
//     [options]
//     sendfile = ["on", "off"]                # values, the default first
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

struct OutsideServer {
  std::string name;
  std::string title;
  std::vector<std::string> programs;
  std::string package;  // empty: none is known
  std::vector<std::string> arguments;
  std::uint32_t least_workers = 1;
  std::uint32_t most_workers = 1;
  bool connections_are_workers = false;
  std::map<std::string, std::string> files;
  std::map<std::string, std::vector<std::string>> options;

  bool is_installed() const;
  // StartError with the package to install when it is not there.
  std::filesystem::path program() const;
};

// A shipped one by its name, or any by the path of its file, whose stem is its name then. UsageError for an unknown
// name, and for what is wrong in its file. BLOCKS: disk.
OutsideServer load_outside(const std::string& name_or_path);
std::filesystem::path outside_dir();  // of shipped ones
std::vector<OutsideServer> list_outside();

// Debian's packages of those whose program is not there, each once.
std::vector<std::string> missing_packages(const std::vector<OutsideServer>& servers);
// StartError, one line for all of them, when one is not there: "h2o, nginx are not installed; on Debian: apt-get
// install ...". Of those without a package it names where their programs would be.
void require_installed(const std::vector<OutsideServer>& servers);

// Writes the server's files into `dir` and returns its command line. UsageError for a word that is not a placeholder.
std::vector<std::string> prepare_outside(const OutsideServer& server, const Cell& cell,
                                         const std::filesystem::path& root, const std::filesystem::path& dir,
                                         std::uint16_t port, const std::string& address = "127.0.0.1");

// Replaces each @WORD@; UsageError for one that `values` does not have.
std::string fill_in(const std::string& text, const std::map<std::string, std::string>& values,
                    const std::string& where);

// The one option that every outside server has.
constexpr const char* congestion_option = "congestion";

// What our servers set themselves on their sockets, these cannot: the harness sets it on their listening socket, from
// which each connection inherits it. StartError when that is not possible.
void set_congestion_of_listener(pid_t server, std::uint16_t port, const std::string& congestion);

// A port that is free now.
std::uint16_t free_port();

}  // namespace bakeoff

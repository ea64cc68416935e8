// Which signals end a program.
#pragma once

#include <csignal>
#include <initializer_list>

namespace bakeoff {

// Whoever started the program may want a signal ignored: nohup SIGHUP, a shell SIGINT of what it runs in the
// background.
bool is_ignored(int signal);
// Those of the signals that are not ignored now.
sigset_t heeded(std::initializer_list<int> signals);

}  // namespace bakeoff

// The straight line of MT, MP and kernel-level threads: whoever holds a connection blocks in its calls until it is over.
#pragma once

#include "core/connection.h"
#include "core/server.h"

namespace bakeoff {

// BLOCKS: network, disk. Serves the connection until it is over.
void serve_connection(Connection& connection, Worker& worker);

// BLOCKS: network. Accepts the next connection, whenever it comes.
int wait_for_client(Worker& worker);

// BLOCKS: network, disk. Accepts and serves one connection after the other, for ever.
[[noreturn]] void accept_and_serve(Worker& worker);

}  // namespace bakeoff

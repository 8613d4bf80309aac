#ifndef MCP_MCP_H
#define MCP_MCP_H

/* `cellule mcp`: a user's facts as tools for the agent that starts it (Model Context Protocol over standard
 * input and output: 2024-11-05, 2025-03-26 and 2025-06-18). argv[0] is the verb. Returns the exit code. */
int mcp_main(int argc, char **argv);

#endif

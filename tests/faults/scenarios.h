#ifndef SCENARIOS_H
#define SCENARIOS_H

/* In questions.c, proof.c, runtimes.c, changes.c, sessions.c, facts.c and processes.c. Each makes its bench,
 * runs, ends it. `state` is a bench. */
#define QUESTIONS(X)                                                                                         \
    X(chat_over_a_kept_connection)                                                                           \
    X(streamed_chat)                                                                                         \
    X(a_receipt_is_fetched)                                                                                  \
    X(texts_are_embedded)                                                                                    \
    X(chat_over_a_new_connection)                                                                            \
    X(a_client_leaves_in_mid_answer)                                                                         \
    X(a_client_leaves_before_its_answer)                                                                     \
    X(a_worker_is_lost_and_another_goes_on)
#define PROOF(X)                                                                                             \
    X(required_streamed)                                                                                     \
    X(required_whole)                                                                                        \
    X(a_tier_asks_for_two_streamed)                                                                          \
    X(a_tier_asks_for_two_whole)                                                                             \
    X(required_without_a_worker_in_mid_answer)                                                               \
    X(required_and_the_client_leaves)                                                                        \
    X(proved_streamed)                                                                                       \
    X(proved_whole)                                                                                          \
    X(proved_and_the_client_leaves)                                                                          \
    X(every_answer_is_checked)
#define RUNTIMES(X)                                                                                          \
    X(an_answer_of_a_runtime_is_compared)                                                                    \
    X(a_sampled_answer_of_a_runtime_is_compared)                                                             \
    X(nobody_answers_a_runtime_s_prompt_again)
#define CHANGES(X)                                                                                           \
    X(a_user_is_added)                                                                                       \
    X(a_key_is_added)                                                                                        \
    X(a_key_is_revoked)                                                                                      \
    X(a_key_is_made_by_its_user)                                                                             \
    X(a_join_token_is_made)                                                                                  \
    X(a_machine_is_enrolled)                                                                                 \
    X(a_worker_connects)                                                                                     \
    X(the_pool_s_key_is_exchanged)                                                                           \
    X(the_pool_reloads)
#define SESSIONS(X)                                                                                          \
    X(a_session_is_made)                                                                                     \
    X(a_session_is_refreshed)                                                                                \
    X(a_session_is_ended)
#define FACTS(X)                                                                                             \
    X(a_fact_is_added)                                                                                       \
    X(a_fact_is_edited)                                                                                      \
    X(a_fact_is_forgotten)                                                                                   \
    X(facts_are_listed)                                                                                      \
    X(facts_are_searched)                                                                                    \
    X(facts_are_read_and_searched)                                                                           \
    X(a_conversation_is_learnt_from)
#define PROCESSES(X)                                                                                         \
    X(a_site_is_checked)                                                                                     \
    X(a_pool_starts)                                                                                         \
    X(a_site_is_made)                                                                                        \
    X(a_machine_joins)                                                                                       \
    X(a_worker_answers)

#define X(name) void name(void **state);
QUESTIONS(X)
PROOF(X)
RUNTIMES(X)
CHANGES(X)
SESSIONS(X)
FACTS(X)
PROCESSES(X)
#undef X

/* In the child: `pool run --check` with one fault after the other. The exit status. */
int check_rounds(const char *folder);

#endif

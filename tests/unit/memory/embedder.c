#include "memory/embedder.h"

#include "unit.h"

#include "base/map.h"

#include <math.h>
#include <stdlib.h>

/* Something that a user has said, and what he asks or says of it later with some of the words or their stems.
 */
typedef struct pair {
    const char *said;
    const char *asked;
} pair;

static const pair pairs[] = {
    {"The user's daughter is called Amelia and is seven years old", "What is my daughter's name?"},
    {"I am allergic to peanuts and shellfish", "Which foods am I allergic to?"},
    {"Our production database runs on PostgreSQL 15", "What database do we use in production?"},
    {"The quarterly report is due on the third Friday", "When is the quarterly report due?"},
    {"He prefers answers as short bullet lists", "Does he prefer short answers in bullet points?"},
    {"The office printer on the second floor is broken", "Is the printer on floor two still broken?"},
    {"She is learning Japanese for a trip to Kyoto", "Plan my Kyoto trip and some Japanese lessons"},
    {"The project budget was cut by twenty percent", "By how much was our project's budget cut?"},
    {"My bicycle was stolen near the railway station", "Someone stole my bicycle at the station"},
    {"We deploy new versions every Tuesday morning", "On which morning do we deploy versions?"},
    {"The meeting room needs a bigger projector", "A larger projector for the meeting room"},
    {"He works as a nurse in a children's hospital", "My work at the hospital with children"},
    {"The contract with the supplier expires in March", "When does our supplier's contract expire?"},
    {"She drinks her coffee without sugar", "How does she take her coffee, sugar or not?"},
    {"The garden fence must be painted this summer", "Paint the fence of the garden"},
    {"Their server certificates are renewed automatically", "Automatic renewal of the server certificate"},
    {"I studied mathematics at the university of Lyon", "Where did I study mathematics?"},
    {"The dog is afraid of thunderstorms", "What is the dog afraid of?"},
    {"All invoices are sent as PDF by e-mail", "Send the invoice in PDF"},
    {"The new employee starts on the first of September", "When do new employees start?"},
    {"Ma fille s'appelle Amélie et elle a sept ans", "Comment s'appelle ma fille ?"},
    {"Je suis allergique aux arachides et aux crustacés", "À quoi suis-je allergique ?"},
    {"Notre base de données de production est sous PostgreSQL",
     "Quelle base de données utilisons-nous en production ?"},
    {"Le rapport trimestriel est attendu le troisième vendredi",
     "Quand faut-il rendre le rapport trimestriel ?"},
    {"Il préfère des réponses courtes sous forme de listes", "Préfère-t-il une réponse courte ?"},
    {"L'imprimante du deuxième étage est en panne",
     "Est-ce que l'imprimante de l'étage est toujours en panne ?"},
    {"Elle apprend le japonais pour un voyage à Kyoto",
     "Prépare mon voyage à Kyoto et des leçons de japonais"},
    {"Le budget du projet a été réduit de vingt pour cent",
     "De combien le budget de notre projet a-t-il été réduit ?"},
    {"On m'a volé mon vélo près de la gare", "Quelqu'un a volé un vélo à la gare"},
    {"Nous déployons les nouvelles versions le mardi matin", "Quel matin déploie-t-on les versions ?"},
    {"La salle de réunion a besoin d'un plus grand projecteur",
     "Un projecteur plus grand pour la salle de réunion"},
    {"Il travaille comme infirmier dans un hôpital pour enfants", "Mon travail à l'hôpital avec les enfants"},
    {"Le contrat avec le fournisseur expire en mars", "Quand expire le contrat du fournisseur ?"},
    {"Elle boit son café sans sucre", "Comment prend-elle son café, avec du sucre ?"},
    {"La clôture du jardin doit être repeinte cet été", "Repeindre la clôture du jardin"},
    {"Les certificats du serveur sont renouvelés automatiquement",
     "Renouvellement automatique du certificat de serveur"},
    {"J'ai étudié les mathématiques à l'université de Lyon", "Où ai-je fait mes études de mathématiques ?"},
    {"Le chien a peur de l'orage", "De quoi le chien a-t-il peur ?"},
    {"Toutes les factures sont envoyées en PDF par courriel", "Envoyer la facture en PDF"},
    {"Le nouvel employé commence le premier septembre", "Quand les nouveaux employés commencent-ils ?"}};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

static void embed(const char *text, float vector[EMBEDDER_DIMENSIONS]) {
    embedder_embed(slice_of_text(text), vector);
}

static double dot(const float a[EMBEDDER_DIMENSIONS], const float b[EMBEDDER_DIMENSIONS]) {
    double sum = 0;
    for (size_t i = 0; i < EMBEDDER_DIMENSIONS; i++) {
        sum += (double)a[i] * b[i];
    }
    return sum;
}

/* Of two texts: 1 is the same words, about 0 nothing in common. */
static double likeness(const char *a, const char *b) {
    float of_a[EMBEDDER_DIMENSIONS];
    float of_b[EMBEDDER_DIMENSIONS];
    embed(a, of_a);
    embed(b, of_b);
    return dot(of_a, of_b);
}

/* To the bit. */
static bool same_bits(const float *a, const float *b) {
    uint32_t of_a[EMBEDDER_DIMENSIONS];
    uint32_t of_b[EMBEDDER_DIMENSIONS];
    memcpy(of_a, a, sizeof of_a);
    memcpy(of_b, b, sizeof of_b);
    return memcmp(of_a, of_b, sizeof of_a) == 0;
}

static bool is_zero(const float vector[EMBEDDER_DIMENSIONS]) {
    for (size_t i = 0; i < EMBEDDER_DIMENSIONS; i++) {
        if (vector[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_what_shares_words_or_stems_ranks_before_all_that_is_unrelated(void **state) {
    (void)state;
    static float said[PAIRS][EMBEDDER_DIMENSIONS];
    for (size_t i = 0; i < PAIRS; i++) {
        embed(pairs[i].said, said[i]);
    }
    for (size_t i = 0; i < PAIRS; i++) {
        float asked[EMBEDDER_DIMENSIONS];
        embed(pairs[i].asked, asked);
        for (size_t k = 0; k < PAIRS; k++) {
            if (k != i && dot(asked, said[k]) >= dot(asked, said[i])) {
                fail_msg("\"%s\" is nearer to \"%s\"", pairs[i].asked, pairs[k].said);
            }
        }
    }
}

static void test_a_vector_has_length_1_or_is_all_zeros_without_a_word(void **state) {
    (void)state;
    float vector[EMBEDDER_DIMENSIONS];
    for (size_t i = 0; i < PAIRS; i++) {
        embed(pairs[i].said, vector);
        assert_true(fabs(dot(vector, vector) - 1) < 1e-5);
    }
    static const char *const wordless[] = {"", " ", "?!… — «»", "\xff\xfe\x80", "\u0301\u0302", "🙂"};
    for (size_t i = 0; i < sizeof wordless / sizeof wordless[0]; i++) {
        embed(wordless[i], vector);
        assert_true(is_zero(vector));
    }
}

static void test_case_accents_and_forms_of_letters_make_no_difference(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {"Élève à l'école", "ELEVE, A L ECOLE!"},
        {"e\u0301le\u0300ve", "élève"},
        {"cœur sœur", "COEUR SOEUR"},
        {"Straße", "STRASSE"},
        {"Ærøskøbing Łódź", "aeroskobing lodz"},
        {"ΑΘΗΝΑ Σωκράτης", "αθηνα σωκρατης"},
        {"ΣΩΚΡΆΤΗΣ", "σωκράτης"},
        {"ЁЛКА Москва́", "елка МОСКВА"},
        {"İstanbul", "istanbul"},
        {"ｆｕｌｌ ｗｉｄｔｈ １２", "full width 12"},
        {"ﬁnal oﬃce", "final office"},
        {"١٢٣", "123"},
        {"co\u00adope\u00adration", "cooperation"},
        {"שָׁלוֹם", "שלום"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        float a[EMBEDDER_DIMENSIONS];
        float b[EMBEDDER_DIMENSIONS];
        embed(same[i][0], a);
        embed(same[i][1], b);
        assert_false(is_zero(a));
        if (!same_bits(a, b)) {
            fail_msg("%s is not %s", same[i][0], same[i][1]);
        }
    }
    assert_true(likeness("が", "か") < 0.5); /* voiced: another letter, no accent */
}

static void test_scripts_without_spaces_are_compared_by_characters(void **state) {
    (void)state;
    static const char *const alike[][3] = {
        {"我对花生过敏", "花生会让我过敏", "会议定在星期二上午"},
        {"会議は火曜日の朝です", "火曜日の会議", "猫が好きです"},
        {"회의는 화요일 아침입니다", "화요일 회의", "고양이를 좋아해요"},
        {"ฉันแพ้ถั่วลิสง", "แพ้ถั่ว", "การประชุมวันอังคาร"},
    };
    for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++) {
        assert_true(likeness(alike[i][0], alike[i][1]) > likeness(alike[i][0], alike[i][2]) + 0.1);
    }
}

static void test_a_word_counts_less_each_time_it_comes_again(void **state) {
    (void)state;
    double once = likeness("budget", "budget holiday");
    double often = likeness("budget", "budget budget budget budget holiday");
    double whole = likeness("budget", "budget budget budget budget");
    assert_true(once > 0.6 && once < 0.8);
    assert_true(often > once && often < 0.93); /* 2 to 1, not 4 to 1 */
    assert_true(whole > 0.999);
}

static void test_only_the_beginning_of_a_long_text_counts_and_long_words_are_cut(void **state) {
    (void)state;
    enum { LENGTH = 20000 };
    static char text[LENGTH];
    float a[EMBEDDER_DIMENSIONS];
    float b[EMBEDDER_DIMENSIONS];
    for (size_t i = 0; i < LENGTH; i++) {
        text[i] = (char)('a' + i * i % 23); /* one word */
    }
    embedder_embed(slice_of(text, LENGTH), a);
    embedder_embed(slice_of(text, EMBEDDER_TEXT_MAX), b);
    assert_true(same_bits(a, b));
    for (size_t i = 0; i < LENGTH / 3; i++) {
        unsigned character = 0x4e00 + (unsigned)i; /* ideographs and pairs: more than are counted apart */
        text[3 * i] = (char)(0xe0 | character >> 12);
        text[3 * i + 1] = (char)(0x80 | (character >> 6 & 0x3f));
        text[3 * i + 2] = (char)(0x80 | (character & 0x3f));
    }
    embedder_embed(slice_of(text, LENGTH), a);
    embedder_embed(slice_of(text, EMBEDDER_TEXT_MAX), b);
    assert_true(same_bits(a, b));
    assert_true(fabs(dot(a, a) - 1) < 1e-5);
}

/* Another digest is another embedder: embedder_name has to change with it, once it was released. */
static void test_the_bits_are_those_of_every_machine(void **state) {
    (void)state;
    static float all[2 * PAIRS + 2][EMBEDDER_DIMENSIONS];
    static const uint8_t seed[MAP_SEED_SIZE] = {0};
    for (size_t i = 0; i < PAIRS; i++) {
        embed(pairs[i].said, all[2 * i]);
        embed(pairs[i].asked, all[2 * i + 1]);
    }
    embed("Λόγος, Достоевский; 会議は火曜日 the the the the theatre", all[2 * PAIRS]);
    embed("\xc3 half a letter, and ١٢٣", all[2 * PAIRS + 1]);
    assert_int_equal(map_hash(seed, slice_of(all, sizeof all)), 0x9098adf91424a2f2);
    assert_string_equal(embedder_name, "cellule-ngrams-1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_shares_words_or_stems_ranks_before_all_that_is_unrelated),
        cmocka_unit_test(test_a_vector_has_length_1_or_is_all_zeros_without_a_word),
        cmocka_unit_test(test_case_accents_and_forms_of_letters_make_no_difference),
        cmocka_unit_test(test_scripts_without_spaces_are_compared_by_characters),
        cmocka_unit_test(test_a_word_counts_less_each_time_it_comes_again),
        cmocka_unit_test(test_only_the_beginning_of_a_long_text_counts_and_long_words_are_cut),
        cmocka_unit_test(test_the_bits_are_those_of_every_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
